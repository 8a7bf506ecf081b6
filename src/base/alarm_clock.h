// Calls something at a time that was set.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"

namespace vnvram {

/// One time at most is set, and it calls once for it, on a thread of its own that is started with
/// the first.
class AlarmClock {
public:
  /// The clock that says what time it is outlives it.
  AlarmClock(Clock& clock, std::function<void()> call) : clock_(clock), call_(std::move(call)) {}
  AlarmClock(const AlarmClock&) = delete;
  AlarmClock& operator=(const AlarmClock&) = delete;
  ~AlarmClock() { stop(); }

  /// In the place of a time that was set before. Any thread, also the one that is called. False: no
  /// thread can be started now, and nothing was set.
  [[nodiscard]] bool set(Clock::Time time);
  /// No call runs or begins after it has returned; not to be called by the one that is called.
  void stop();

private:
  void main();

  Clock& clock_;
  const std::function<void()> call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Clock::Time> time_;
  bool stop_ = false;
  std::jthread thread_;
};

} // namespace vnvram
