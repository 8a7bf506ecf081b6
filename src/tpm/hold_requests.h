// Requests to hold a TPM, which wait until it is quiet.
#pragma once

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace vnvram {

/// Fulfilled together: once no command has come for a moment, as QEMU may be about to write one
/// that the machine gave before it was stopped; or a second after the first of them in any case.
///
/// Threads: one, the worker's.
class HoldRequests {
public:
  /// How long it has to be quiet.
  static constexpr std::chrono::milliseconds quiet_for{20};
  static constexpr std::chrono::milliseconds wait_max{1000};

  /// The clock outlives it.
  explicit HoldRequests(Clock& clock) : clock_(clock) {}

  void add(std::function<void()> fulfilled) {
    if (waiting_.empty()) {
      deadline_ = clock_.now() + wait_max;
    }
    waiting_.push_back(std::move(fulfilled));
  }
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  /// All that wait, if their wait is over. `is_quiet`: no command has come for so long.
  [[nodiscard]] std::vector<std::function<void()>> take_fulfilled(bool is_quiet) {
    const bool over = is_quiet || clock_.now() >= deadline_;
    return over ? std::exchange(waiting_, {}) : std::vector<std::function<void()>>();
  }

private:
  Clock& clock_;
  std::vector<std::function<void()>> waiting_;
  Clock::Time deadline_;
};

} // namespace vnvram
