// A clock that a test moves on.
#pragma once

#include <list>

#include "base/clock.h"

namespace vnvram::test {

/// Stands still until a test moves it, so that what happens after an hour happens at once, and what
/// must not happen before does not on the busiest machine.
///
/// Threads: all calls may come from any thread.
class TestClock final : public Clock {
public:
  [[nodiscard]] Time now() const override;
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
            Time time) override;

  /// Moves on, and returns when all have woken up that waited for a time that has come. Not while
  /// the caller holds a mutex that one of them waits with.
  void advance(Duration duration);
  /// Returns when somebody waits for just this time. False: nobody does within 20 s.
  [[nodiscard]] bool is_awaited(Time time);

private:
  struct Sleeper {
    std::condition_variable& changed;
    Time time;
  };
  [[nodiscard]] bool wake_the_due() const; // Needs mutex_. False: there are none.

  mutable std::mutex mutex_;
  std::condition_variable new_sleeper_;
  std::list<Sleeper> sleepers_;
  Time now_{std::chrono::hours(1)};
};

} // namespace vnvram::test
