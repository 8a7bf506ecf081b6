// A clock for one thread: whoever waits makes the time come.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace vnvram::test {

/// Stands still while something is done, and never lets anybody wait.
class SkippingClock final : public Clock {
public:
  [[nodiscard]] Time now() const override { return now_; }
  void wait(std::unique_lock<std::mutex>&, std::condition_variable&, Time time) override {
    now_ = std::max(now_, time);
  }
  void advance(Duration duration) { now_ += duration; }

private:
  Time now_{std::chrono::hours(1)};
};

} // namespace vnvram::test
