// A listener, for a thread that polls.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include <poll.h>

#include "base/unique_fd.h"
#include "service/connection_limits.h"
#include "service/listener.h"
#include "service/log.h"

namespace vnvram {

/// Takes in one client after the other. When the process, or the system, has no descriptor left for
/// one, it stays in the listener's queue, where poll() would report it over and over: so the door
/// rests for a moment then, and tries again.
///
/// Threads: one.
class Door {
public:
  using Clock = std::chrono::steady_clock;

  /// Both outlive it.
  Door(const Listener& listener, ConnectionLimits limits, const Log& log)
      : listener_(&listener), limits_(limits), log_(&log) {}

  [[nodiscard]] const Listener& listener() const { return *listener_; }
  /// What to poll for now: nothing while it rests.
  [[nodiscard]] pollfd poll_entry(Clock::time_point now);
  /// When it is to be polled again, if it rests.
  [[nodiscard]] std::optional<Clock::time_point> rests_until() const { return rests_until_; }
  /// The next client that waits, if there is one and it can be taken in. `free_descriptor` is asked
  /// to give one up when none is left, and says whether it has.
  [[nodiscard]] UniqueFd accept(Clock::time_point now,
                                const std::function<bool()>& free_descriptor);

private:
  const Listener* listener_;
  ConnectionLimits limits_;
  const Log* log_;
  std::optional<Clock::time_point> rests_until_;
  bool complained_ = false; ///< Once until somebody could be taken in again.
};

} // namespace vnvram
