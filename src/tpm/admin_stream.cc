#include "tpm/admin_stream.h"

#include <span>

namespace vnvram {

kj::Promise<std::size_t> AdminStream::tryRead(void* buffer, std::size_t min_bytes,
                                              std::size_t max_bytes) {
  return read_on(static_cast<kj::byte*>(buffer), 0, min_bytes, max_bytes);
}

kj::Promise<std::size_t> AdminStream::read_on(kj::byte* buffer, std::size_t done_bytes,
                                              std::size_t min_bytes, std::size_t max_bytes) {
  auto piece = inner_->tryRead(buffer + done_bytes, 1, max_bytes - done_bytes);
  if (!framing_.is_between_messages()) {
    piece = timer_.timeoutAfter(unfinished_max_.count() * kj::MILLISECONDS, kj::mv(piece));
  }
  return piece.then([this, buffer, done_bytes, min_bytes,
                     max_bytes](std::size_t count) -> kj::Promise<std::size_t> {
    framing_.take(std::as_bytes(std::span(buffer + done_bytes, count)));
    const std::size_t done = done_bytes + count;
    if (count == 0 || done >= min_bytes) {
      return done;
    }
    return read_on(buffer, done, min_bytes, max_bytes);
  });
}

} // namespace vnvram
