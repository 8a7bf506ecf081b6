#include "rpc/polled_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <system_error>

#include <kj/exception.h>

#include "rpc/lane_frame.h"

namespace vnvram {

std::ptrdiff_t PolledStream::receive(kj::byte* buffer, std::size_t max_bytes) {
  std::ptrdiff_t count = -1;
  do {
    count = ::recv(socket_, buffer, max_bytes, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    received_count_bytes_ += static_cast<std::uint64_t>(count);
  } else if (count == 0 || (errno == ECONNRESET && order_ == Order::answers_first)) {
    ended_ = true; // Nothing is left: what was sent before is taken first.
  } else if (count < 0 && errno != EAGAIN) {
    break_off("cannot receive: " + std::system_category().message(errno));
  }
  return count;
}

void PolledStream::break_off(const std::string& why) {
  broken_ = kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                          kj::heapString(why.c_str()));
  output_.close();
}

std::size_t PolledStream::take_received(kj::byte* buffer, std::size_t max_bytes) {
  const std::size_t count = std::min(max_bytes, calls_end_ - received_begin_);
  std::copy_n(received_.data() + received_begin_, count, buffer);
  received_begin_ += count;
  return count;
}

bool PolledStream::can_sort() const {
  const std::size_t count_bytes = received_end_ - calls_end_;
  const bool has_begun = !framing_.is_between_messages() || lane_.missing_bytes() > 0;
  return count_bytes >= (has_begun ? 1 : lane_frame_header_bytes);
}

bool PolledStream::advance() {
  send_output();
  const std::ptrdiff_t count = !is_over() && takes_more() ? receive_more() : 0;
  sort();
  read_on();
  return count > 0;
}

std::ptrdiff_t PolledStream::receive_more() {
  const bool is_all_sorted = calls_end_ == received_end_;
  const std::size_t read_bytes =
      reading_.done.get() == nullptr ? 0 : reading_.max_bytes - reading_.done_bytes;
  if (is_all_sorted && lane_.missing_bytes() > received_.size()) {
    const std::ptrdiff_t count = receive(lane_.place().begin(), lane_.missing_bytes());
    lane_.note_received(static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0)));
    return count;
  }
  if (is_all_sorted && read_bytes > received_.size() && read_bytes <= framing_.missing_bytes()) {
    kj::byte* const place = reading_.buffer + reading_.done_bytes;
    const std::ptrdiff_t count = receive(place, read_bytes);
    const auto done_bytes = static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0));
    framing_.take(std::as_bytes(std::span(place, done_bytes)));
    reading_.done_bytes += done_bytes;
    return count;
  }
  // What is left are the first bytes of a message.
  std::copy(received_.begin() + static_cast<std::ptrdiff_t>(calls_end_),
            received_.begin() + static_cast<std::ptrdiff_t>(received_end_), received_.begin());
  received_end_ -= calls_end_;
  received_begin_ = calls_end_ = 0;
  const std::ptrdiff_t count =
      receive(received_.data() + received_end_, received_.size() - received_end_);
  received_end_ += static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0));
  return count;
}

std::span<const std::byte> PolledStream::unsorted() const {
  return std::as_bytes(std::span(received_).subspan(calls_end_, received_end_ - calls_end_));
}

void PolledStream::sort() {
  while (!has_calls() && can_sort() && takes_input() && broken_ == nullptr) {
    const bool goes_on = !framing_.is_between_messages();
    if (!goes_on &&
        (lane_.missing_bytes() > 0 || load_frame_number(unsorted()) == lane_frame_marker)) {
      sort_lane();
    } else {
      sort_calls();
    }
  }
}

void PolledStream::sort_calls() {
  do {
    calls_end_ += framing_.take_message(unsorted());
  } while (unsorted().size() >= lane_frame_header_bytes &&
           load_frame_number(unsorted()) != lane_frame_marker);
}

void PolledStream::sort_lane() {
  const bool begins = lane_.missing_bytes() == 0;
  const std::size_t max_bytes = begins ? lane_frame_header_bytes : lane_.missing_bytes();
  const auto next = unsorted().first(std::min(max_bytes, unsorted().size()));
  received_begin_ = calls_end_ += next.size();
  if (!begins) {
    (void)lane_.take(next);
  } else if (!lane_.is_open()) {
    break_off("a change by a lane that is not open");
  } else if (!lane_.begin(next)) {
    break_off("a change by the lane has a length that none has");
  }
}

void PolledStream::write_to_lane(capnp::MessageBuilder& message) {
  const auto segments = message.getSegmentsForOutput();
  if (segments.size() > 1) { // Copied into one that has room for all of it.
    capnp::MallocMessageBuilder whole(static_cast<unsigned>(message.sizeInWords()));
    whole.setRoot(message.getRoot<capnp::AnyPointer>().asReader());
    write_to_lane(whole);
    return;
  }
  const auto header = make_lane_frame_header(static_cast<std::uint32_t>(segments[0].size()));
  output_.add(kj::arrayPtr(reinterpret_cast<const kj::byte*>(header.data()), header.size()));
  output_.add(segments[0].asBytes());
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
    const auto waiting = output_.waiting();
    const std::ptrdiff_t count =
        ::send(socket_, waiting.begin(), waiting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      output_.note_taken(static_cast<std::size_t>(count));
    } else if ((errno == EPIPE || errno == ECONNRESET) && order_ == Order::answers_first) {
      output_.close(); // What the other end has asked for before it went is done all the same.
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      break_off("cannot send: " + std::system_category().message(errno));
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
    output_.add(piece);
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
