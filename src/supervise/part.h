// One of the processes that a supervisor has started, or is going to.
#pragma once

#include <chrono>
#include <optional>

#include "base/unique_fd.h"
#include "supervise/child_process.h"
#include "supervise/front_end.h"
#include "supervise/nbd_probe.h"

namespace vnvram {

/// As it is now.
struct Part {
  using Clock = std::chrono::steady_clock;

  const FrontEnd* front_end = nullptr; ///< None: it is the owner.
  std::optional<ChildProcess> process;
  UniqueFd channel;            ///< Over which it gets its sockets.
  UniqueFd succession_channel; ///< Over which it hears of a successor, if it can have one.
  std::optional<NbdProbe> probe;
  bool is_ready = false;
  bool is_asked_to_end = false;
  bool is_killed = false; ///< By us.
  Clock::time_point started_at;
  unsigned failures_in_a_row = 0;             ///< Not ready before it died.
  std::optional<Clock::time_point> starts_at; ///< When it has died.
  /// In whose place it was started, beside it, as long as that one runs.
  Part* predecessor = nullptr;
  bool is_over = false; ///< To be taken out of the list.

  [[nodiscard]] bool runs_as(pid_t pid) const { return process && process->pid() == pid; }
};

} // namespace vnvram
