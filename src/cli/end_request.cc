#include "cli/end_request.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>
#include <vector>

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "service/termination_signals.h"

namespace vnvram::cli {
namespace {

bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

// As if nobody had expected it.
void end_by(int signal) {
  sigset_t only;
  (void)::sigemptyset(&only);
  (void)::sigaddset(&only, signal);
  (void)::raise(signal);
  (void)::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
}

} // namespace

Result<std::unique_ptr<EndRequest>> EndRequest::expect() {
  std::vector<int> signals = {SIGINT, SIGTERM, SIGHUP};
  std::erase_if(signals, is_ignored); // A blocked one would come all the same.
  Result<UniqueFd> taken = take_signals(signals);
  if (!taken) {
    return taken.error();
  }
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) {
    return Error(ErrorKind::io,
                 "cannot make an event descriptor: " + std::system_category().message(errno));
  }
  return std::unique_ptr<EndRequest>(new EndRequest(*std::move(taken), std::move(stop)));
}

EndRequest::~EndRequest() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof(one));
  watcher_.join();
}

void EndRequest::watch() {
  constexpr int patience_ms = 5000;
  int left_ms = -1;
  for (;;) {
    std::array<pollfd, 2> entries = {{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                      {.fd = stop_.get(), .events = POLLIN, .revents = 0}}};
    const int count = ::poll(entries.data(), entries.size(), left_ms);
    if (entries[1].revents != 0) {
      return;
    }
    signalfd_siginfo signal{};
    if (count == 0) {
      unblock();
      left_ms = -1;
    } else if (::read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
      take(static_cast<int>(signal.ssi_signo));
      left_ms = patience_ms;
    }
  }
}

void EndRequest::take(int signal) {
  const std::lock_guard lock(mutex_);
  if (signal_ != 0) {
    end_by(signal);
  }
  signal_ = signal;
  came_.notify_all();
}

void EndRequest::unblock() {
  const std::lock_guard lock(mutex_);
  if (when_stuck_) {
    when_stuck_();
  }
}

void EndRequest::when_stuck(std::function<void()> unblock) {
  const std::lock_guard lock(mutex_);
  when_stuck_ = std::move(unblock);
}

Status EndRequest::wait_until(std::chrono::steady_clock::time_point time) {
  std::unique_lock lock(mutex_);
  return came_.wait_until(lock, time, [&] { return signal_ != 0; })
             ? Status(Error(ErrorKind::io, fmt::format("ended by signal {}", signal_)))
             : Status();
}

bool EndRequest::has_come() {
  const std::lock_guard lock(mutex_);
  return signal_ != 0;
}

void EndRequest::obey() {
  const std::lock_guard lock(mutex_);
  if (signal_ != 0) {
    end_by(signal_);
  }
}

} // namespace vnvram::cli
