#include "swtpm/daemon.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace vnvram {
namespace {

constexpr char serves = '1';

Error system_error(const char* what) {
  return {ErrorKind::io, std::string(what) + ": " + std::system_category().message(errno)};
}

// Nothing of this process is to be undone: it is its child's.
[[noreturn]] void wait_for(pid_t child, int from_child) {
  char said = 0;
  ssize_t count = 0;
  do {
    count = ::read(from_child, &said, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 1 && said == serves) {
    ::_exit(EXIT_SUCCESS);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

} // namespace

Result<Daemon> Daemon::fork() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return system_error("cannot make a pipe");
  }
  UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    return system_error("cannot fork");
  }
  if (child > 0) {
    to_parent.reset();
    wait_for(child, from_child.get());
  }
  return Daemon(std::move(to_parent));
}

Status Daemon::leave() {
  if (::setsid() < 0 || ::chdir("/") != 0) {
    return system_error("cannot become a daemon");
  }
  nowhere_ = UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  return nowhere_.valid() ? Status() : system_error("/dev/null");
}

Status Daemon::detach() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(nowhere_.get(), stream) < 0) {
      return system_error("cannot close a standard stream");
    }
  }
  if (::write(parent_.get(), &serves, 1) != 1) {
    return system_error("cannot tell who has started this");
  }
  parent_.reset();
  nowhere_.reset();
  return {};
}

} // namespace vnvram
