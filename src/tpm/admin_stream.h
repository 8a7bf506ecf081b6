// A connection to the admin socket that is not waited for without end.
#pragma once

#include <chrono>
#include <cstddef>

#include <kj/async-io.h>
#include <kj/timer.h>

#include "tpm/admin_framing.h"

namespace vnvram {

// Cap'n Proto keeps its streams by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// A client may be silent between two messages for as long as it likes. In the middle of one it has
/// to go on; if it does not, reading fails, and Cap'n Proto closes the connection.
class AdminStream final : public kj::AsyncIoStream {
public:
  /// The timer outlives it.
  AdminStream(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer,
              std::chrono::milliseconds unfinished_max)
      : inner_(kj::mv(inner)), timer_(timer), unfinished_max_(unfinished_max) {}

  kj::Promise<std::size_t> tryRead(void* buffer, std::size_t min_bytes,
                                   std::size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, std::size_t size_bytes) override {
    return inner_->write(buffer, size_bytes);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }
  void abortRead() override { inner_->abortRead(); }

private:
  /// `done_bytes` are in the buffer already.
  kj::Promise<std::size_t> read_on(kj::byte* buffer, std::size_t done_bytes, std::size_t min_bytes,
                                   std::size_t max_bytes);

  kj::Own<kj::AsyncIoStream> inner_;
  kj::Timer& timer_;
  std::chrono::milliseconds unfinished_max_;
  AdminFraming framing_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
