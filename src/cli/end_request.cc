#include "cli/end_request.h"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <vector>

#include <fmt/core.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "service/termination_signals.h"

namespace vnvram::cli {
namespace {

bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

} // namespace

Result<EndRequest> EndRequest::expect() {
  std::vector<int> signals = {SIGINT, SIGTERM, SIGHUP};
  std::erase_if(signals, is_ignored); // A blocked one would come all the same.
  Result<UniqueFd> taken = take_signals(signals);
  return taken ? Result<EndRequest>(EndRequest(*std::move(taken))) : taken.error();
}

Status EndRequest::wait_until(std::chrono::steady_clock::time_point time) {
  for (;;) {
    const auto left = std::max(time - std::chrono::steady_clock::now(),
                               std::chrono::steady_clock::duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{.tv_sec = seconds.count(),
                           .tv_nsec = std::chrono::nanoseconds(left - seconds).count()};
    pollfd entry{.fd = signals_.get(), .events = POLLIN, .revents = 0};
    signalfd_siginfo signal{};
    if (::ppoll(&entry, 1, &timeout, nullptr) > 0 &&
        ::read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
      signal_ = static_cast<int>(signal.ssi_signo);
    }
    if (signal_ != 0) {
      return Error(ErrorKind::io, fmt::format("ended by signal {}", signal_));
    }
    if (left == std::chrono::steady_clock::duration::zero()) {
      return {};
    }
  }
}

void EndRequest::obey() const {
  if (signal_ == 0) {
    return;
  }
  sigset_t only;
  (void)::sigemptyset(&only);
  (void)::sigaddset(&only, signal_);
  (void)::raise(signal_);
  (void)::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
}

} // namespace vnvram::cli
