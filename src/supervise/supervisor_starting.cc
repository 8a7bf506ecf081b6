// Supervisor: a process is started, and given its sockets.
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/descriptor_passing.h"
#include "base/operator_text.h"
#include "supervise/supervisor.h"

namespace vnvram {
namespace {

struct SocketPair {
  UniqueFd one;
  UniqueFd other;
};

Result<SocketPair> make_pair(int type) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error(ErrorKind::io, std::string("cannot make a pair of sockets: ") +
                                    std::system_category().message(errno));
  }
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

} // namespace

Status Supervisor::open_channels(Part& part, std::vector<UniqueFd>& its_ends) {
  const auto open = [&](UniqueFd& our_end) {
    Result<SocketPair> made = make_pair(SOCK_SEQPACKET);
    if (!made.ok()) {
      return Status(made.error());
    }
    our_end = std::move(made->one);
    its_ends.push_back(std::move(made->other));
    return Status();
  };
  Status opened = open(part.channel);
  if (opened.ok() && part.front_end != nullptr && !part.front_end->successor_arguments.empty()) {
    opened = open(part.succession_channel);
  }
  if (opened.ok() && part.predecessor != nullptr) {
    UniqueFd its_predecessors_end;
    opened = open(its_predecessors_end);
    if (opened.ok()) {
      opened = pass_descriptor(part.predecessor->succession_channel.get(), "successor",
                               its_predecessors_end.get());
    }
  }
  return opened;
}

std::string Supervisor::owner_before() const {
  std::string text = opened_epoch_;
  for (const pid_t pid : owners_since_) {
    text += fmt::format("{}{}", text == opened_epoch_ ? ":" : ",", pid);
  }
  return owners_since_.empty() ? text + ":" : text;
}

Status Supervisor::start(Part& part) {
  Program program = part.front_end == nullptr ? setup_.owner : part.front_end->program;
  if (part.front_end == nullptr && was_owner_ready_) {
    program.arguments.insert(program.arguments.end(), setup_.owner_again_arguments.begin(),
                             setup_.owner_again_arguments.end());
    if (!opened_epoch_.empty()) {
      program.arguments.insert(program.arguments.end(),
                               {setup_.owner_after_option, owner_before()});
    }
    if (!place_.empty()) {
      program.arguments.insert(program.arguments.end(), {setup_.owner_place_option, place_});
    }
    for (const std::string& place : moved_to_) {
      program.arguments.insert(program.arguments.end(), {setup_.owner_moved_option, place});
    }
  }
  if (part.front_end != nullptr && part.predecessor != nullptr) {
    program.arguments.insert(program.arguments.end(), part.front_end->successor_arguments.begin(),
                             part.front_end->successor_arguments.end());
  }
  std::vector<UniqueFd> its_ends;
  if (Status opened = open_channels(part, its_ends); !opened.ok()) {
    return opened;
  }
  for (const UniqueFd& end : its_ends) {
    program.descriptors.push_back(end.get());
  }
  program.environment.push_back(readiness_.environment());
  Result<ChildProcess> process = ChildProcess::start(program);
  if (!process.ok()) {
    return process.error();
  }
  part.process.emplace(*std::move(process));
  part.is_asked_to_end = false;
  part.is_killed = false;
  part.started_at = Clock::now();
  part.starts_at.reset();
  part.is_ready = false;
  if (part.front_end == nullptr) {
    owners_since_.push_back(part.process->pid());
    return {};
  }
  if (owner_.is_ready) {
    give_session(part);
  }
  if (!part.front_end->says_ready) {
    part.probe.emplace(part.front_end->listening_socket, part.front_end->socket_path);
    if (!part.probe->valid()) {
      part.probe.reset();
      setup_.log.warning(fmt::format("the {} counts as ready: this user may not connect to its "
                                     "socket, and so nobody has looked",
                                     name_of(part)));
      became_ready(part);
    }
  }
  return {};
}

// One end for the owner, with what it may do, the other one for the front end. Who of them has died
// meanwhile gets another one when it was started again.
void Supervisor::give_session(Part& part) {
  const Result<SocketPair> session = make_pair(SOCK_STREAM);
  Status given = session.ok() ? Status() : session.error();
  if (given.ok()) {
    SessionOffer offer = part.front_end->session;
    offer.pid = part.process->pid();
    given = pass_descriptor(owner_.channel.get(), offer.text(), session->one.get());
  }
  if (given.ok()) {
    given = pass_descriptor(part.channel.get(), "session", session->other.get());
  }
  if (!given.ok()) {
    setup_.log.warning(
        fmt::format("the {} has got no session: {}", name_of(part), operator_text(given.error())));
  }
}

} // namespace vnvram
