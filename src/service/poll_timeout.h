// How long poll() may wait.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

namespace vnvram {

/// Until the first of some moments; for ever if there is none.
class PollTimeout {
public:
  using Clock = std::chrono::steady_clock;

  explicit PollTimeout(Clock::time_point now) : now_(now) {}

  void until(std::optional<Clock::time_point> moment) {
    if (moment) {
      first_ = std::min(first_, *moment);
    }
  }

  /// For poll(): -1 is for ever. Never shorter than it takes.
  [[nodiscard]] int milliseconds() const {
    if (first_ == never) {
      return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(first_ - now_).count();
    return static_cast<int>(std::clamp<decltype(left)>(left, 0, std::numeric_limits<int>::max()));
  }

private:
  static constexpr Clock::time_point never = Clock::time_point::max();

  Clock::time_point now_;
  Clock::time_point first_ = never;
};

} // namespace vnvram
