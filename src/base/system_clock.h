// The clock of the machine.
#pragma once

#include "base/clock.h"

namespace vnvram {

class SystemClock final : public Clock {
public:
  [[nodiscard]] Time now() const override { return std::chrono::steady_clock::now(); }
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
            Time time) override {
    changed.wait_until(lock, time);
  }
};

} // namespace vnvram
