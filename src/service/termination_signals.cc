#include "service/termination_signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace vnvram {

Result<UniqueFd> take_termination_signals() {
  return take_signals(std::array{SIGTERM, SIGINT});
}

Result<UniqueFd> take_signals(std::span<const int> numbers) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN); // A limit on file sizes is an I/O error, not an end.
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) {
    sigaddset(&set, number);
  }
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) {
    return Error(ErrorKind::io,
                 "cannot make a signal descriptor: " + std::system_category().message(errno));
  }
  return signals;
}

int wait_for_termination(const UniqueFd& signals) {
  signalfd_siginfo signal{};
  while (::read(signals.get(), &signal, sizeof(signal)) != sizeof(signal)) {
    pollfd entry{.fd = signals.get(), .events = POLLIN, .revents = 0};
    (void)::poll(&entry, 1, -1);
  }
  return static_cast<int>(signal.ssi_signo);
}

} // namespace vnvram
