#include "supervise/renewal.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace vnvram {
namespace {

// Of one front end.
constexpr std::chrono::seconds patience{20};

} // namespace

Renewal::Renewal(std::list<Part>& parts, StartSuccessor start_successor)
    : start_successor_(std::move(start_successor)) {
  for (Part& part : parts) {
    waiting_.push_back(&part);
  }
  std::stable_partition(waiting_.begin(), waiting_.end(), [](const Part* part) {
    return part->front_end->successor_arguments.empty();
  });
}

Error Renewal::not_renewed(const Part& part, const std::string& why) {
  return {ErrorKind::io,
          fmt::format("front end {} was not exchanged: {}", part.front_end->session.device, why),
          "the log says more"};
}

std::optional<Status> Renewal::advance(Clock::time_point now) {
  if (failure_) {
    return Status(*failure_);
  }
  if (current_ != nullptr && is_done(*current_)) {
    current_ = nullptr;
    deadline_.reset();
  }
  if (current_ != nullptr) {
    if (now < *deadline_) {
      return std::nullopt;
    }
    return Status(not_renewed(*current_, "what was started has not come up in time"));
  }
  if (waiting_.empty()) {
    return Status();
  }
  current_ = waiting_.back();
  waiting_.pop_back();
  Status begun = begin(*current_, now);
  return begun.ok() ? std::nullopt : std::optional(std::move(begun));
}

Status Renewal::begin(Part& part, Clock::time_point now) {
  deadline_ = now + patience;
  if (!part.process || !part.is_ready) {
    return not_renewed(part, "it does not run");
  }
  old_ = part.process->pid();
  successor_ = 0;
  if (part.front_end->successor_arguments.empty()) {
    part.is_asked_to_end = true;
    part.process->terminate();
    return {};
  }
  const Result<pid_t> started = start_successor_(part);
  if (!started.ok()) {
    return not_renewed(part, started.error().cause());
  }
  successor_ = *started;
  return {};
}

bool Renewal::is_done(const Part& part) const {
  return part.is_ready && (successor_ != 0 ? part.runs_as(successor_) : !part.runs_as(old_));
}

void Renewal::successor_has_ended(const Part& part, int code) {
  failure_ = not_renewed(
      part, fmt::format("the program that is installed now ended with code {}, and the one that "
                        "runs goes on",
                        code));
}

} // namespace vnvram
