#include "rpc/polled_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <system_error>

#include <kj/exception.h>

namespace vnvram {

std::ptrdiff_t PolledStream::receive(kj::byte* buffer, std::size_t max_bytes) {
  std::ptrdiff_t count = -1;
  do {
    count = ::recv(socket_, buffer, max_bytes, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    received_count_bytes_ += static_cast<std::uint64_t>(count);
    framing_.take(std::as_bytes(std::span(buffer, static_cast<std::size_t>(count))));
  } else if (count == 0) {
    ended_ = true;
  } else if (count < 0 && errno != EAGAIN) {
    break_off("cannot receive");
  }
  return count;
}

void PolledStream::break_off(const char* what) {
  const std::string why = std::string(what) + ": " + std::system_category().message(errno);
  broken_ = kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                          kj::heapString(why.c_str()));
  output_.clear();
  output_begin_ = 0;
}

std::size_t PolledStream::take_received(kj::byte* buffer, std::size_t max_bytes) {
  const std::size_t count = std::min(max_bytes, received_end_ - received_begin_);
  std::copy_n(received_.data() + received_begin_, count, buffer);
  received_begin_ += count;
  return count;
}

bool PolledStream::advance() {
  send_output();
  std::ptrdiff_t count = 0;
  if (!is_over() && takes_more()) {
    const std::size_t missing_bytes =
        reading_.done.get() == nullptr ? 0 : reading_.max_bytes - reading_.done_bytes;
    if (missing_bytes > received_.size()) {
      count = receive(reading_.buffer + reading_.done_bytes, missing_bytes);
      reading_.done_bytes += static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0));
    } else {
      count = receive(received_.data(), received_.size());
      received_begin_ = 0;
      received_end_ = static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0));
    }
  }
  read_on();
  return count > 0;
}

void PolledStream::read_on() {
  if (reading_.done.get() == nullptr || !takes_input()) {
    return;
  }
  reading_.done_bytes += take_received(reading_.buffer + reading_.done_bytes,
                                       reading_.max_bytes - reading_.done_bytes);
  KJ_IF_MAYBE (exception, broken_) {
    reading_.done->reject(kj::cp(*exception));
    reading_.done = nullptr;
  } else if (reading_.done_bytes >= reading_.min_bytes || ended_) {
    reading_.done->fulfill(std::size_t{reading_.done_bytes});
    reading_.done = nullptr;
  }
}

kj::Promise<std::size_t> PolledStream::tryRead(void* buffer, std::size_t min_bytes,
                                               std::size_t max_bytes) {
  KJ_IF_MAYBE (exception, broken_) {
    return kj::cp(*exception);
  }
  auto* const bytes = static_cast<kj::byte*>(buffer);
  const std::size_t done_bytes = takes_input() ? take_received(bytes, max_bytes) : 0;
  if (takes_input() && (done_bytes >= min_bytes || ended_)) {
    return done_bytes;
  }
  auto waits = kj::newPromiseAndFulfiller<std::size_t>();
  reading_ = {bytes, done_bytes, min_bytes, max_bytes, kj::mv(waits.fulfiller)};
  return kj::mv(waits.promise);
}

void PolledStream::send_output() {
  while (has_output()) {
    const std::ptrdiff_t count =
        ::send(socket_, output_.data() + output_begin_, output_.size() - output_begin_,
               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      if (errno != EAGAIN) {
        break_off("cannot send");
      }
      return;
    }
    output_begin_ += static_cast<std::size_t>(count);
    if (output_begin_ == output_.size()) {
      output_.clear();
      output_begin_ = 0;
    }
  }
}

kj::Promise<void> PolledStream::write(const void* buffer, std::size_t size_bytes) {
  const auto piece = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size_bytes);
  return write(kj::arrayPtr(&piece, 1));
}

// Who has asked waits for the answer anyway.
kj::Promise<void> PolledStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  for (const auto piece : pieces) {
    output_.insert(output_.end(), piece.begin(), piece.end());
  }
  KJ_IF_MAYBE (exception, broken_) {
    return kj::cp(*exception);
  }
  return kj::READY_NOW;
}

void PolledStream::shutdownWrite() {
  ::shutdown(socket_, SHUT_WR);
}

void PolledStream::abortRead() {
  ::shutdown(socket_, SHUT_RD);
}

} // namespace vnvram
