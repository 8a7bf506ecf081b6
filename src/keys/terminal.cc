#include "keys/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/unique_fd.h"

namespace vnvram {
namespace {

constexpr std::size_t line_max_bytes = 4096; // What a terminal keeps of a line.

/// Signals that end or stop the program wait while this lives, and are seen.
class HeldSignals {
public:
  HeldSignals() {
    sigset_t held;
    (void)::sigemptyset(&held);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) {
      (void)::sigaddset(&held, signal);
    }
    (void)::pthread_sigmask(SIG_BLOCK, &held, &before_);
    seen_ = UniqueFd(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /// Readable when there is one.
  [[nodiscard]] int fd() const { return seen_.get(); }

private:
  sigset_t before_{};
  UniqueFd seen_;
};

/// What is typed is not shown while this lives.
class HiddenTyping {
public:
  explicit HiddenTyping(int terminal) : terminal_(terminal) {
    hidden_ = ::tcgetattr(terminal_, &before_) == 0;
    if (hidden_) {
      struct termios changed = before_;
      changed.c_lflag &= ~static_cast<tcflag_t>(ECHO);
      changed.c_lflag |= ECHONL;
      hidden_ = ::tcsetattr(terminal_, TCSAFLUSH, &changed) == 0;
    }
  }
  HiddenTyping(const HiddenTyping&) = delete;
  HiddenTyping& operator=(const HiddenTyping&) = delete;
  ~HiddenTyping() {
    if (hidden_) {
      (void)::tcsetattr(terminal_, TCSAFLUSH, &before_);
    }
  }

  [[nodiscard]] bool hidden() const { return hidden_; }

private:
  int terminal_;
  bool hidden_ = false;
  struct termios before_ {};
};

Error no_passphrase(const std::string& why) {
  return {ErrorKind::key_needed, fmt::format("no passphrase: {}", why),
          "without a terminal it is given by passphrase:fd:N or passphrase:file:PATH"};
}

Status wait_for_line(int terminal, int signals) {
  std::array<struct pollfd, 2> either = {{{.fd = terminal, .events = POLLIN, .revents = 0},
                                          {.fd = signals, .events = POLLIN, .revents = 0}}};
  while (::poll(either.data(), either.size(), -1) < 0) {
    if (errno != EINTR) {
      return Error(ErrorKind::io, "/dev/tty: " + std::generic_category().message(errno));
    }
  }
  return either[1].revents == 0 ? Status{} : no_passphrase("it was interrupted");
}

Result<SecretBytes> read_line(int terminal, int signals) {
  std::vector<std::byte> line(line_max_bytes);
  ssize_t count = -1;
  do {
    if (const Status waited = wait_for_line(terminal, signals); !waited) {
      return waited.error();
    }
    count = ::read(terminal, line.data(), line.size());
  } while (count < 0 && errno == EINTR);
  const SecretBytes whole(std::move(line));
  auto typed = std::span(whole.get()).first(count < 0 ? 0 : static_cast<std::size_t>(count));
  if (!typed.empty() && typed.back() == std::byte{'\n'}) {
    typed = typed.first(typed.size() - 1);
  }
  return typed.empty() ? Result<SecretBytes>(no_passphrase("nothing was typed"))
                       : SecretBytes(typed);
}

} // namespace

Result<SecretBytes> ask_at_terminal(const std::string& prompt) {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal.valid()) {
    return no_passphrase("there is no terminal to ask at");
  }
  const HeldSignals signals;
  const HiddenTyping typing(terminal.get());
  if (!typing.hidden()) {
    return no_passphrase("the terminal would show it");
  }
  if (::write(terminal.get(), prompt.data(), prompt.size()) < 0) {
    return Error(ErrorKind::io, "/dev/tty: " + std::generic_category().message(errno));
  }
  return read_line(terminal.get(), signals.fd());
}

} // namespace vnvram
