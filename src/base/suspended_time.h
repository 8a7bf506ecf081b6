// How long this machine has been suspended.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/clock.h"

namespace vnvram {

/// In all since it was started. A Clock stands still meanwhile: what others may have done since a
/// moment of its is told by the two together.
inline Clock::Duration suspended_time() {
  timespec with{};
  timespec without{};
  // Neither fails on any kernel that there is. In this order: a thread that is held up between them
  // takes the time for shorter, so that none is found where there was none.
  ::clock_gettime(CLOCK_BOOTTIME, &with);
  ::clock_gettime(CLOCK_MONOTONIC, &without);
  const auto difference = std::chrono::seconds(with.tv_sec - without.tv_sec) +
                          std::chrono::nanoseconds(with.tv_nsec - without.tv_nsec);
  return std::max(Clock::Duration::zero(), Clock::Duration(difference));
}

} // namespace vnvram
