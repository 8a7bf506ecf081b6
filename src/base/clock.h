// What time it is, and waiting for a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace vnvram {

/// Given to all that waits for a time to come, so that a test can own the time. It never goes back.
///
/// Threads: all calls may come from any thread.
class Clock {
public:
  using Duration = std::chrono::steady_clock::duration;
  using Time = std::chrono::steady_clock::time_point;

  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  [[nodiscard]] virtual Time now() const = 0;
  /// Returns when `changed` is notified, when the time has come, or for no reason at all.
  virtual void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                    Time time) = 0;

  /// Waits for what `changed` tells of. False: the time came first.
  template <typename Happened>
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, Time time,
                  Happened happened) {
    while (!happened()) {
      if (now() >= time) {
        return false;
      }
      wait(lock, changed, time);
    }
    return true;
  }
  void sleep_until(Time time) {
    std::mutex mutex;
    std::condition_variable nothing_changes;
    std::unique_lock lock(mutex);
    wait_until(lock, nothing_changes, time, [] { return false; });
  }
};

} // namespace vnvram
