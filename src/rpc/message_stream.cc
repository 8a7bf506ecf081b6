#include "rpc/message_stream.h"

#include <span>

#include <kj/debug.h>

namespace vnvram {
namespace {

kj::Exception made_room() {
  return KJ_EXCEPTION(DISCONNECTED, "this client was silent, and has made room for another one");
}

} // namespace

void MessageStream::give_up() {
  given_up_ = true;
  if (end_.get() != nullptr) {
    end_->reject(made_room());
  }
}

kj::Promise<void> MessageStream::answer(kj::Promise<void> writing) {
  waits_for_answer_ = false;
  ++answer_count_;
  return writing.attach(kj::defer([this] {
    --answer_count_;
    if (answer_count_ == 0 && answers_taken_.get() != nullptr) {
      answers_taken_->fulfill();
    }
  }));
}

kj::Promise<void> MessageStream::when_answers_are_taken() {
  if (answer_count_ == 0) {
    return kj::READY_NOW;
  }
  auto waits = kj::newPromiseAndFulfiller<void>();
  answers_taken_ = kj::mv(waits.fulfiller);
  return kj::mv(waits.promise);
}

kj::Promise<std::size_t> MessageStream::tryRead(void* buffer, std::size_t min_bytes,
                                                std::size_t max_bytes) {
  auto* const bytes = static_cast<kj::byte*>(buffer);
  if (answer_count_ == 0) {
    return read_on(bytes, 0, min_bytes, max_bytes);
  }
  // It may be told to make room meanwhile.
  auto end = kj::newPromiseAndFulfiller<std::size_t>();
  end_ = kj::mv(end.fulfiller);
  return when_answers_are_taken().exclusiveJoin(end.promise.ignoreResult()).then([=, this] {
    return read_on(bytes, 0, min_bytes, max_bytes);
  });
}

kj::Promise<std::size_t> MessageStream::read_on(kj::byte* buffer, std::size_t done_bytes,
                                                std::size_t min_bytes, std::size_t max_bytes) {
  if (given_up_) {
    return made_room();
  }
  auto end = kj::newPromiseAndFulfiller<std::size_t>();
  end_ = kj::mv(end.fulfiller);
  auto piece = inner_->tryRead(buffer + done_bytes, 1, max_bytes - done_bytes)
                   .exclusiveJoin(kj::mv(end.promise));
  if (!framing_.is_between_messages()) {
    piece = timer_.timeoutAfter(unfinished_max_.count() * kj::MILLISECONDS, kj::mv(piece));
  }
  return piece.then([this, buffer, done_bytes, min_bytes,
                     max_bytes](std::size_t count) -> kj::Promise<std::size_t> {
    last_active_ = Clock::now();
    waits_for_answer_ = true;
    if (active_) {
      active_();
    }
    framing_.take(std::as_bytes(std::span(buffer + done_bytes, count)));
    const std::size_t done = done_bytes + count;
    if (count == 0 || done >= min_bytes) {
      return done;
    }
    return read_on(buffer, done, min_bytes, max_bytes);
  });
}

} // namespace vnvram
