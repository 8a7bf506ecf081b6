#include "supervise/supervisor.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/descriptor_passing.h"
#include "service/ending_words.h"
#include "service/idle_memory.h"
#include "service/poll_timeout.h"

namespace vnvram {
namespace {

using std::chrono::milliseconds;

// Who does not come up is tried less and less often, and at last not any more. Who comes up and
// dies is started again as often as that is, but not many times in a second.
constexpr milliseconds first_pause{50};
constexpr unsigned failures_in_a_row_max = 8;
constexpr milliseconds life_min{100};

// Of one that has not come so far that it handles the signal.
constexpr int ended_by_sigterm = 128 + SIGTERM;

// Of what is polled, behind the signals, who says that it is ready, and the owner's requests.
constexpr std::size_t first_part = 3;

Error socket_error(const char* what) {
  return {ErrorKind::io, std::string(what) + ": " + std::system_category().message(errno)};
}

} // namespace

Supervisor::Supervisor(Setup setup, Readiness readiness)
    : setup_(std::move(setup)), readiness_(std::move(readiness)) {
  for (const FrontEnd& front_end : setup_.front_ends) {
    parts_.emplace_back().front_end = &front_end;
  }
}

std::vector<Part*> Supervisor::all_front_ends() {
  std::vector<Part*> all;
  for (std::list<Part>* list : {&parts_, &successors_}) {
    for (Part& part : *list) {
      all.push_back(&part);
    }
  }
  return all;
}

bool Supervisor::runs_front_ends() const {
  const auto runs = [](const Part& part) { return part.process.has_value(); };
  return std::any_of(parts_.begin(), parts_.end(), runs) ||
         std::any_of(successors_.begin(), successors_.end(), runs);
}

std::string Supervisor::name_of(const Part& part) {
  return part.front_end == nullptr ? "owner" : "front end " + part.front_end->session.device;
}

void Supervisor::became_ready(Part& part) {
  if (std::exchange(part.is_ready, true)) {
    return;
  }
  setup_.log.debug(fmt::format("the {} is ready", name_of(part)));
  if (&part == &owner_) {
    was_owner_ready_ = true;
    for (Part* each : all_front_ends()) {
      if (each->process) {
        give_session(*each);
      } else if (!each->starts_at && !ends_) {
        each->starts_at = Clock::now(); // The first time.
      }
    }
  }
  note_ready();
}

void Supervisor::note_ready() {
  const bool all = owner_.is_ready && std::all_of(parts_.begin(), parts_.end(),
                                                  [](const Part& part) { return part.is_ready; });
  if (!all || ends_) {
    return;
  }
  const bool is_first = !std::exchange(was_ready_, true);
  if (is_first) {
    setup_.log.info(fmt::format("serves, with {} front ends", parts_.size()));
  }
  setup_.notify.send("READY=1\nSTATUS=Serving");
  if (is_first) {
    give_back_all_memory(); // Starting them took more than waiting for their ends does.
  }
}

Status Supervisor::start_what_is_due() {
  const auto now = Clock::now();
  for (Part& part : parts_) {
    if (part.starts_at && *part.starts_at <= now && owner_.is_ready) {
      if (Status started = start(part); !started.ok()) {
        return started;
      }
    }
  }
  return owner_.starts_at && *owner_.starts_at <= now ? start(owner_) : Status();
}

Status Supervisor::handle_death(Part& part) {
  const bool was_ready = part.is_ready;
  const int code = part.process->wait();
  if (&part == &owner_) { // What it has said last counts.
    take_requests();
  }
  part.process.reset();
  part.channel.reset();
  part.succession_channel.reset();
  part.probe.reset();
  part.is_ready = false;
  if (part.predecessor != nullptr) {
    if (renewal_) {
      renewal_->successor_has_ended(*part.predecessor, code);
    }
    part.is_over = true;
    return {};
  }
  for (Part& successor : successors_) {
    if (successor.predecessor == &part && successor.process) {
      promote(successor, code);
      return {};
    }
  }
  const bool is_owner = &part == &owner_;
  if (ends_ && (!is_owner || !runs_front_ends())) {
    const bool counts = (is_owner || was_ready) && !part.is_killed && code != ended_by_sigterm;
    exit_code_ = exit_code_ == 0 && counts ? code : exit_code_;
    return {};
  }
  const auto now = Clock::now();
  part.failures_in_a_row = was_ready ? 0 : part.failures_in_a_row + 1;
  const bool is_first = is_owner ? !was_owner_ready_ : !was_ready_ && !was_ready;
  if (is_first || part.failures_in_a_row > failures_in_a_row_max) {
    setup_.log.error(fmt::format("the {} has ended with code {}{}", name_of(part), code,
                                 is_first ? "" : ", again and again: gives up"));
    exit_code_ = code == 0 ? 1 : code;
    begin_end();
    return {};
  }
  const bool in_good_order = code == 0 || (part.is_asked_to_end && code == ended_by_sigterm);
  if (in_good_order && (part.is_asked_to_end || is_owner)) {
    setup_.log.info(fmt::format("the {} has ended, and is started again", name_of(part)));
  } else {
    setup_.log.error(fmt::format("the {} has died (code {}), and is started again{}", name_of(part),
                                 code, is_owner ? "" : ": " + part.front_end->loss));
  }
  setup_.notify.send(fmt::format("STATUS=The {} is started again", name_of(part)));
  milliseconds pause{0};
  if (part.failures_in_a_row > 0) {
    pause = first_pause * (1U << (part.failures_in_a_row - 1));
  } else if (now - part.started_at < life_min) {
    pause = life_min;
  }
  part.starts_at = now + pause;
  return {};
}

void Supervisor::begin_end() {
  if (std::exchange(ends_, true)) {
    return;
  }
  setup_.notify.send("STOPPING=1\nSTATUS=Ending the front ends");
  renewal_.reset();
  if (owner_.process && owner_.channel.valid()) { // One that is gone has nothing to refuse.
    [[maybe_unused]] const Status told = pass_text(owner_.channel.get(), ending_word);
  }
  for (Part* part : all_front_ends()) {
    part->starts_at.reset();
    if (part->process) {
      part->process->terminate();
    }
  }
}

// Nobody takes any more what they have.
void Supervisor::kill_the_orphaned() {
  if (!ends_ || owner_.process || owner_.starts_at) {
    return;
  }
  for (Part* part : all_front_ends()) {
    if (part->process && !std::exchange(part->is_killed, true)) {
      setup_.log.error(fmt::format("the {} is killed: there is no owner", name_of(*part)));
      ::kill(part->process->pid(), SIGKILL);
    }
  }
}

// They have written all that they had.
void Supervisor::end_owner_if_alone() {
  if (ends_ && !runs_front_ends()) {
    owner_.starts_at.reset();
    // One that is just starting would be ended without its image being closed.
    if (owner_.process && owner_.is_ready && !std::exchange(owner_is_asked_, true)) {
      setup_.notify.send("STATUS=Closing the image");
      owner_.process->terminate();
    }
  }
}

bool Supervisor::is_over() const {
  return ends_ && !owner_.process && !owner_.starts_at && !runs_front_ends();
}

void Supervisor::take_signal() {
  signalfd_siginfo signal{};
  while (::read(setup_.signals.get(), &signal, sizeof(signal)) == sizeof(signal)) {
    const auto number = static_cast<int>(signal.ssi_signo);
    if (number != SIGHUP) {
      setup_.log.info(number == SIGINT ? "ends, because of SIGINT" : "ends, because of SIGTERM");
      begin_end();
    } else if (owner_.process) {
      setup_.log.info("exchanges the owner, because of SIGHUP");
      owner_.process->terminate();
    }
  }
}

// Waits for what comes next, and does what it asks for.
Status Supervisor::poll() {
  std::vector<Part*> all = all_front_ends();
  all.push_back(&owner_);
  PollTimeout timeout(Clock::now());
  timeout.until(renewal_ ? renewal_->deadline() : std::nullopt);
  std::vector<pollfd> entries{
      {.fd = setup_.signals.get(), .events = POLLIN, .revents = 0},
      {.fd = readiness_.fd(), .events = POLLIN, .revents = 0},
      {.fd = owner_.process ? owner_.channel.get() : -1, .events = POLLIN, .revents = 0}};
  for (const Part* part : all) {
    entries.push_back(
        {.fd = part->process ? part->process->fd() : -1, .events = POLLIN, .revents = 0});
    entries.push_back({.fd = part->probe ? part->probe->fd() : -1, .events = POLLIN, .revents = 0});
    if (part->starts_at && (part == &owner_ || owner_.is_ready)) {
      timeout.until(*part->starts_at);
    }
  }
  if (::poll(entries.data(), entries.size(), timeout.milliseconds()) < 0) {
    return errno == EINTR ? Status() : Status(socket_error("poll"));
  }
  while (const auto pid = readiness_.take()) {
    for (Part* part : all) {
      if (part->process && part->process->pid() == *pid) {
        became_ready(*part);
      }
    }
  }
  for (std::size_t index = 0; index < all.size(); ++index) {
    if (entries[first_part + 1 + 2 * index].revents != 0 && all[index]->probe) {
      const bool is_over = all[index]->probe->go_on();
      if (all[index]->probe->was_greeted()) {
        became_ready(*all[index]);
      }
      if (is_over) {
        all[index]->probe.reset();
      }
    }
    if (entries[first_part + 2 * index].revents != 0 && all[index]->process) {
      if (Status handled = handle_death(*all[index]); !handled.ok()) {
        return handled;
      }
    }
  }
  if (entries[2].revents != 0 && owner_.process) {
    take_requests();
  }
  if (entries[0].revents != 0) {
    take_signal();
  }
  return {};
}

Result<int> Supervisor::run() {
  Status done = start(owner_);
  while (done.ok() && !is_over()) {
    done = poll();
    if (done.ok()) {
      successors_.remove_if([](const Part& part) { return part.is_over; });
      go_on_with_renewal();
      kill_the_orphaned();
      end_owner_if_alone();
      done = start_what_is_due();
    }
  }
  return done.ok() ? Result<int>(exit_code_) : done.error();
}

} // namespace vnvram
