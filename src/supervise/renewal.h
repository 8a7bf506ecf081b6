// Front ends exchanged for what is installed now.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "supervise/part.h"
#include "vnvram/result.h"

namespace vnvram {

/// One after the other, first those that a successor can be started for: what they do goes on in
/// it, or in them if it fails. The others are asked to end, and are started again.
///
/// Threads: one.
class Renewal {
public:
  using Clock = Part::Clock;
  /// Starts a second process in the place of this one, beside it, and returns its number.
  using StartSuccessor = std::function<Result<pid_t>(Part&)>;

  /// Of all these, which outlive it.
  Renewal(std::list<Part>& parts, StartSuccessor start_successor);

  /// Does what can be done now. The outcome, once it is over.
  [[nodiscard]] std::optional<Status> advance(Clock::time_point now);
  /// The process that was to take its place has ended with this code.
  void successor_has_ended(const Part& part, int code);
  /// When advance() has something to do even if nothing happens.
  [[nodiscard]] std::optional<Clock::time_point> deadline() const { return deadline_; }

private:
  [[nodiscard]] Status begin(Part& part, Clock::time_point now);
  [[nodiscard]] bool is_done(const Part& part) const;
  [[nodiscard]] static Error not_renewed(const Part& part, const std::string& why);

  const StartSuccessor start_successor_;
  std::vector<Part*> waiting_; ///< The next one is the last.
  Part* current_ = nullptr;
  pid_t old_ = 0;       ///< The current one's process when it began.
  pid_t successor_ = 0; ///< 0: it is ended, and started again.
  std::optional<Error> failure_;
  std::optional<Clock::time_point> deadline_;
};

} // namespace vnvram
