#include "base/alarm_clock.h"

#include <system_error>

namespace vnvram {

bool AlarmClock::set(Clock::Time time) {
  const std::lock_guard lock(mutex_);
  if (stop_) {
    return true;
  }
  if (!thread_.joinable()) {
    try {
      thread_ = std::jthread([this] { main(); });
    } catch (const std::system_error&) {
      return false;
    }
  }
  // Who sleeps towards an earlier time finds the later one when it wakes up.
  const bool wake = !time_ || time < *time_;
  time_ = time;
  if (wake) {
    changed_.notify_one();
  }
  return true;
}

void AlarmClock::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void AlarmClock::main() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!time_) {
      changed_.wait(lock);
    } else if (clock_.now() < *time_) {
      clock_.wait(lock, changed_, *time_);
    } else {
      time_.reset();
      lock.unlock();
      call_();
      lock.lock();
    }
  }
}

} // namespace vnvram
