// Has a session wait that asks faster than it may.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "serve/session_rates.h"
#include "serve/token_bucket.h"

namespace vnvram {

/// Threads: the session's.
class Throttle {
public:
  using Clock = TokenBucket::Clock;

  explicit Throttle(const SessionRates& rates)
      : bytes_(rates.sent_max_bytes), calls_(rates.calls_max) {}

  /// What has come, and how many calls there were in it.
  void count(std::uint64_t size_bytes, std::uint64_t call_count, Clock::time_point now) {
    bytes_.take(size_bytes, now);
    calls_.take(call_count, now);
  }
  /// Until when nothing more is taken of it; none: more is taken now.
  [[nodiscard]] std::optional<Clock::time_point> closed_until(Clock::time_point now) {
    const auto bytes_until = bytes_.empty_until(now);
    const auto calls_until = calls_.empty_until(now);
    return bytes_until && calls_until ? std::max(*bytes_until, *calls_until)
           : bytes_until              ? bytes_until
                                      : calls_until;
  }

private:
  TokenBucket bytes_;
  TokenBucket calls_;
};

} // namespace vnvram
