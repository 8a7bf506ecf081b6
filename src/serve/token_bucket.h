// How much somebody may have of something in a second.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace vnvram {

/// Holds what may be taken in one second at most, and fills up evenly. What is taken is taken, also
/// if there is less: then there is nothing more until that is made up for.
///
/// Threads: one.
class TokenBucket {
public:
  using Clock = std::chrono::steady_clock;

  /// 0: as much as one likes. Full at first.
  explicit TokenBucket(std::uint64_t per_second)
      : per_second_(static_cast<double>(per_second)), level_(per_second_) {}

  void take(std::uint64_t count, Clock::time_point now) {
    if (per_second_ > 0) {
      fill(now);
      level_ -= static_cast<double>(count);
    }
  }
  /// When there is something again; none: there is now.
  [[nodiscard]] std::optional<Clock::time_point> empty_until(Clock::time_point now) {
    if (per_second_ == 0) {
      return std::nullopt;
    }
    fill(now);
    if (level_ >= 0) {
      return std::nullopt;
    }
    const std::chrono::duration<double> missing(-level_ / per_second_);
    // Never early by a rounding: whoever waits would find it empty again, and again.
    return now + std::chrono::ceil<Clock::duration>(missing) + std::chrono::microseconds(1);
  }

private:
  void fill(Clock::time_point now) {
    const std::chrono::duration<double> passed = now - filled_at_;
    // The first time it is full already, whatever has passed.
    level_ = std::min(per_second_, level_ + passed.count() * per_second_);
    filled_at_ = now;
  }

  const double per_second_;
  double level_;                ///< Less than nothing: what is to be made up for.
  Clock::time_point filled_at_; ///< Long ago at first.
};

} // namespace vnvram
