#include "supervise/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

namespace vnvram {
namespace {

constexpr int first_descriptor = 3;

Error system_error(const std::string& what, int number) {
  return {number == ENOENT ? ErrorKind::absent : ErrorKind::io,
          what + ": " + std::system_category().message(number)};
}

// Everything that the new process does before it is the program. Nobody else can look at its
// memory, so what it allocates is its own.
class Beginning {
public:
  Beginning(const Program& program, pid_t parent, int report_fd)
      : program_(program), parent_(parent), report_fd_(report_fd) {}

  [[noreturn]] void run() {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent_) {
      ::_exit(127); // It went before that was set.
    }
    ::setpgid(0, 0); // What a terminal tells this program, is for its parent to tell it.
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGXFSZ, SIG_DFL);
    place_descriptors();
    set_environment();
    std::vector<char*> words{const_cast<char*>(program_.path.c_str())};
    for (const std::string& argument : program_.arguments) {
      words.push_back(const_cast<char*>(argument.c_str()));
    }
    words.push_back(nullptr);
    ::execvp(program_.path.c_str(), words.data());
    const int error = errno;
    [[maybe_unused]] const auto written = ::write(report_fd_, &error, sizeof(error));
    ::_exit(127);
  }

private:
  // Out of the way first, so that none is overwritten before it was moved.
  void place_descriptors() {
    const int count = static_cast<int>(program_.descriptors.size());
    report_fd_ = ::fcntl(report_fd_, F_DUPFD_CLOEXEC, first_descriptor + count);
    std::vector<int> moved;
    for (const int descriptor : program_.descriptors) {
      moved.push_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, first_descriptor + count));
    }
    for (int index = 0; index < count; ++index) {
      ::dup2(moved[static_cast<std::size_t>(index)], first_descriptor + index);
    }
    // What our parent was given by its own: the image, if that is a descriptor.
    (void)::close_range(static_cast<unsigned>(first_descriptor + count), ~0U, CLOSE_RANGE_CLOEXEC);
  }

  // NOLINTBEGIN(concurrency-mt-unsafe): there is one thread.
  void set_environment() const {
    for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) {
      ::unsetenv(name); // They were for our parent to give, and for us.
    }
    for (const std::string& assignment : program_.environment) {
      const auto end = assignment.find('=');
      ::setenv(assignment.substr(0, end).c_str(), assignment.substr(end + 1).c_str(), 1);
    }
    if (program_.activating_count > 0) {
      ::setenv("LISTEN_FDS", std::to_string(program_.activating_count).c_str(), 1);
      ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    }
  }
  // NOLINTEND(concurrency-mt-unsafe)

  const Program& program_;
  const pid_t parent_;
  int report_fd_;
};

} // namespace

Result<ChildProcess> ChildProcess::start(const Program& program) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return system_error(program.path, errno);
  }
  const UniqueFd report(ends[0]);
  UniqueFd reporter(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return system_error(program.path + ": cannot make a process", errno);
  }
  if (pid == 0) {
    Beginning(program, parent, reporter.get()).run();
  }
  reporter.reset();
  int error = 0;
  if (::read(report.get(), &error, sizeof(error)) == sizeof(error)) { // Else it is the program.
    ::waitpid(pid, nullptr, 0);
    return system_error(program.path + ": cannot be started", error);
  }
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) {
    const int number = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return system_error(program.path + ": cannot be watched", number);
  }
  return ChildProcess(pid, std::move(fd));
}

ChildProcess::~ChildProcess() {
  if (fd_.valid()) {
    ::kill(pid_, SIGKILL);
    wait();
  }
}

void ChildProcess::terminate() const {
  if (fd_.valid()) {
    ::kill(pid_, SIGTERM);
  }
}

int ChildProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  fd_.reset();
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace vnvram
