#include "support/test_clock.h"

#include <algorithm>
#include <thread>

namespace vnvram::test {

Clock::Time TestClock::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

void TestClock::wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                     Time time) {
  std::list<Sleeper>::iterator own;
  {
    const std::lock_guard own_lock(mutex_);
    if (now_ >= time) {
      return;
    }
    own = sleepers_.insert(sleepers_.end(), Sleeper{changed, time});
    new_sleeper_.notify_all();
  }
  changed.wait(lock);
  const std::lock_guard own_lock(mutex_);
  sleepers_.erase(own);
}

bool TestClock::wake_the_due() const {
  bool any = false;
  for (const Sleeper& sleeper : sleepers_) {
    if (sleeper.time <= now_) {
      sleeper.changed.notify_all();
      any = true;
    }
  }
  return any;
}

// One that has said that it sleeps may not do so yet, and would miss the only call.
void TestClock::advance(Duration duration) {
  std::unique_lock lock(mutex_);
  now_ += duration;
  while (wake_the_due()) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
}

bool TestClock::is_awaited(Time time) {
  std::unique_lock lock(mutex_);
  return new_sleeper_.wait_for(lock, std::chrono::seconds(20), [&] {
    return std::any_of(sleepers_.begin(), sleepers_.end(),
                       [&](const Sleeper& sleeper) { return sleeper.time == time; });
  });
}

} // namespace vnvram::test
