// Supervisor: front ends exchanged for what is installed now.
#include <algorithm>
#include <csignal>
#include <utility>

#include <fmt/core.h>

#include "base/descriptor_passing.h"
#include "base/operator_text.h"
#include "service/move_words.h"
#include "service/opening_words.h"
#include "service/renewal_words.h"
#include "supervise/supervisor.h"

namespace vnvram {

Result<pid_t> Supervisor::start_successor(Part& part) {
  Part& successor = successors_.emplace_back();
  successor.front_end = part.front_end;
  successor.predecessor = &part;
  if (Status started = start(successor); !started.ok()) {
    successors_.pop_back();
    return started.error();
  }
  setup_.log.info(fmt::format("starts process {} to go on with the {}", successor.process->pid(),
                              name_of(part)));
  return successor.process->pid();
}

// The other one has ended: given its place to this one, or died, which this one may survive.
void Supervisor::promote(Part& successor, int code) {
  Part& part = *successor.predecessor;
  if (code != 0) {
    setup_.log.error(fmt::format("the {} has died (code {}) while another process was to go on "
                                 "with it",
                                 name_of(part), code));
  }
  part.process = std::exchange(successor.process, std::nullopt);
  part.channel = std::move(successor.channel);
  part.succession_channel = std::move(successor.succession_channel);
  part.started_at = successor.started_at;
  if (successor.is_ready) {
    became_ready(part);
  }
  successor.is_over = true;
}

void Supervisor::take_requests() {
  while (owner_.channel.valid()) {
    const auto asked = take_descriptor(owner_.channel.get());
    if (!asked.ok()) {
      owner_.channel.reset(); // It is about to end.
    }
    if (!asked.ok() || !*asked) {
      return;
    }
    take_request((*asked)->text);
  }
}

void Supervisor::take_request(std::string_view text) {
  if (text.starts_with(opening_beginning)) {
    opened_epoch_ = text.substr(opening_beginning.size());
    owners_since_.clear();
    return;
  }
  if (text.starts_with(place_beginning)) {
    place_ = text.substr(place_beginning.size());
    moved_to_.clear();
    return;
  }
  if (text.starts_with(move_beginning)) {
    take_place(std::string(text.substr(move_beginning.size())));
    return;
  }
  if (text != renewal_request || ends_ || !owner_.process) {
    return;
  }
  if (renewal_) {
    answer_renewal(Error(ErrorKind::in_use, "the front ends are being exchanged already"));
    return;
  }
  setup_.log.info("exchanges the front ends, as an operator has asked for");
  renewal_.emplace(parts_, [this](Part& part) { return start_successor(part); });
  renewal_is_for_ = owner_.process->pid();
}

void Supervisor::take_place(const std::string& place) {
  const Status may = check_place(place);
  if (may.ok() && std::ranges::find(moved_to_, place) == moved_to_.end()) {
    moved_to_.push_back(place);
  }
  [[maybe_unused]] const Status told =
      pass_text(owner_.channel.get(), move_answer(place, may).substr(0, passed_text_max_bytes));
}

void Supervisor::answer_renewal(const Status& outcome) {
  // An owner that has not asked has nobody to tell.
  if (owner_.process && owner_.channel.valid()) {
    [[maybe_unused]] const Status told =
        pass_text(owner_.channel.get(), renewal_answer(outcome).substr(0, passed_text_max_bytes));
  }
}

void Supervisor::go_on_with_renewal() {
  const auto outcome = renewal_ ? renewal_->advance(Clock::now()) : std::nullopt;
  if (!outcome) {
    return;
  }
  renewal_.reset();
  for (const Part& successor : successors_) {
    if (successor.process && !successor.is_ready) { // It has not come up in time.
      ::kill(successor.process->pid(), SIGKILL);
    }
  }
  if (outcome->ok()) {
    setup_.log.info("all front ends are exchanged");
  } else {
    setup_.log.error(operator_text(outcome->error()));
  }
  if (owner_.runs_as(renewal_is_for_)) {
    answer_renewal(*outcome);
  }
}

} // namespace vnvram
