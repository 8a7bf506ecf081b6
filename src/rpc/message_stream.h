// A connection for Cap'n Proto that is not waited for without end, and not answered without end.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <utility>

#include <kj/async-io.h>
#include <kj/timer.h>

#include "rpc/message_framing.h"

namespace vnvram {

// Cap'n Proto keeps its streams by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// A client may be silent between two messages for as long as it likes. In the middle of one it has
/// to go on; if it does not, reading fails, and Cap'n Proto closes the connection. While it does
/// not take what it is answered nothing more is read from it, so that answers do not pile up.
class MessageStream : public kj::AsyncIoStream {
public:
  using Clock = std::chrono::steady_clock;

  /// The timer outlives it. `active` is called whenever something comes.
  MessageStream(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer,
                std::chrono::milliseconds unfinished_max, std::function<void()> active = {})
      : inner_(kj::mv(inner)), timer_(timer), unfinished_max_(unfinished_max),
        active_(std::move(active)) {}
  MessageStream(const MessageStream&) = delete;
  MessageStream& operator=(const MessageStream&) = delete;
  ~MessageStream() noexcept(false) = default;

  /// When a byte of the client's came last; at first, when it was connected.
  [[nodiscard]] Clock::time_point last_active() const { return last_active_; }
  /// Something came, and nothing went since. What wants no answer counts as well.
  [[nodiscard]] bool waits_for_answer() const { return waits_for_answer_; }
  /// Reading fails, now or at its next attempt.
  void give_up();

  kj::Promise<std::size_t> tryRead(void* buffer, std::size_t min_bytes,
                                   std::size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, std::size_t size_bytes) override {
    return answer(inner_->write(buffer, size_bytes));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return answer(inner_->write(pieces));
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }
  void abortRead() override { inner_->abortRead(); }

private:
  /// `done_bytes` are in the buffer already.
  kj::Promise<std::size_t> read_on(kj::byte* buffer, std::size_t done_bytes, std::size_t min_bytes,
                                   std::size_t max_bytes);
  /// One that is on its way until the promise is gone.
  kj::Promise<void> answer(kj::Promise<void> writing);
  kj::Promise<void> when_answers_are_taken();

  kj::Own<kj::AsyncIoStream> inner_;
  kj::Timer& timer_;
  std::chrono::milliseconds unfinished_max_;
  std::function<void()> active_;
  MessageFraming framing_;
  Clock::time_point last_active_ = Clock::now();
  bool waits_for_answer_ = false;
  bool given_up_ = false;
  std::size_t answer_count_ = 0;                   ///< On their way.
  kj::Own<kj::PromiseFulfiller<std::size_t>> end_; ///< Of the read that is under way.
  kj::Own<kj::PromiseFulfiller<void>> answers_taken_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
