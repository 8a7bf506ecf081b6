// One call of a library that may never come back, made again and again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "device/left_behind.h"

namespace vnvram {

/// On a thread of its own, which waits for the next time when the call has come back. What does not
/// come back in time is left behind on it, for as long as the process lives: all that the call uses
/// must belong to it, and its answer is destroyed there when it comes after all.
///
/// This is the one place where a thread is left to itself. There is no way to end another's call
/// from outside, and whoever waited for the thread would wait for the call.
template <typename Answer> class RepeatedCall {
public:
  explicit RepeatedCall(std::function<Answer()> call)
      : shared_(std::make_shared<Shared>(std::move(call))) {}
  RepeatedCall(const RepeatedCall&) = delete;
  RepeatedCall& operator=(const RepeatedCall&) = delete;
  /// The thread ends then, and with it the call: at once, or when it comes back.
  ~RepeatedCall() {
    const std::lock_guard lock(shared_->mutex);
    shared_->ends = true;
    shared_->asked.notify_all();
  }

  /// From any thread; they take turns. Nothing: it has not come back after `patience`, or an
  /// earlier time, and is not made any more.
  std::optional<Answer> operator()(std::chrono::milliseconds patience);

private:
  struct Shared {
    explicit Shared(std::function<Answer()> made) : call(std::move(made)) {}
    const std::function<Answer()> call;
    std::mutex mutex; ///< Guards the next. Nobody is woken with it held, to wait again.
    std::condition_variable asked;   ///< For the thread.
    std::condition_variable changed; ///< For the callers.
    bool has_thread = false;
    bool is_taken = false; ///< It is somebody's turn.
    bool is_asked = false;
    bool is_left_behind = false;
    bool ends = false;
    std::optional<Answer> answer = {};
  };
  static void work(Shared& shared);
  /// False: there is none to be had.
  bool start_thread();

  const std::shared_ptr<Shared> shared_;
};

template <typename Answer> void RepeatedCall<Answer>::work(Shared& shared) {
  std::unique_lock lock(shared.mutex);
  while (true) {
    shared.asked.wait(lock, [&] { return shared.is_asked || shared.ends; });
    if (!shared.is_asked) {
      return;
    }
    shared.is_asked = false;
    lock.unlock();
    auto answer = std::make_unique<Answer>(shared.call());
    lock.lock();
    if (shared.is_left_behind) {
      lock.unlock();
      answer.reset();
      came_back();
      return;
    }
    shared.answer = std::move(*answer);
    lock.unlock();
    shared.changed.notify_all();
    lock.lock();
  }
}

template <typename Answer> bool RepeatedCall<Answer>::start_thread() {
  if (!shared_->has_thread) {
    try {
      std::thread([shared = shared_] { work(*shared); }).detach();
      shared_->has_thread = true;
    } catch (const std::system_error&) {
    }
  }
  return shared_->has_thread;
}

template <typename Answer>
std::optional<Answer> RepeatedCall<Answer>::operator()(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  const bool is_our_turn = shared.changed.wait_until(
      lock, deadline, [&] { return !shared.is_taken || shared.is_left_behind; });
  if (!is_our_turn || shared.is_left_behind) {
    return std::nullopt;
  }
  shared.is_taken = true;
  if (start_thread()) {
    shared.is_asked = true;
    lock.unlock();
    shared.asked.notify_all();
    lock.lock();
    shared.changed.wait_until(lock, deadline, [&] { return shared.answer.has_value(); });
  } else { // Then without a deadline.
    lock.unlock();
    std::optional<Answer> answer(shared.call());
    lock.lock();
    shared.answer = std::move(answer);
  }
  std::optional<Answer> answer = std::exchange(shared.answer, std::nullopt);
  if (!answer) {
    shared.is_left_behind = true;
    leave_behind();
  }
  shared.is_taken = false;
  lock.unlock();
  shared.changed.notify_all();
  return answer;
}

} // namespace vnvram
