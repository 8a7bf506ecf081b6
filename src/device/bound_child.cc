#include "device/bound_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr std::size_t said_max_bytes = 16384;
constexpr int exit_not_started = 127;
// Where the child has what it gets from us.
constexpr int listen_fd = 3;
constexpr int lifeline_fd = 4;
constexpr int first_other_fd = BoundChild::handed_over_fd + 1;

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error(ErrorKind::io, "cannot make a pipe: " + std::generic_category().message(errno));
  }
  return Pipe{.reader = UniqueFd(ends[0]), .writer = UniqueFd(ends[1])};
}

/// Everything that the child needs between fork and exec, where it may not allocate.
class Launch {
public:
  Launch(const std::vector<std::string>& arguments, int listening_socket, int conversation,
         int handed_over, int working_folder, int said, int lifeline)
      : arguments_(arguments), listening_socket_(listening_socket), conversation_(conversation),
        handed_over_(handed_over), working_folder_(working_folder), said_(said),
        lifeline_(lifeline) {
    for (std::string& argument : arguments_) {
      argv_.push_back(argument.data());
    }
    argv_.push_back(nullptr);
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (std::string_view(*variable).substr(0, 7) != "LISTEN_") {
        environment_.push_back(*variable);
      }
    }
    if (listening_socket_ >= 0) {
      environment_.push_back(listen_fds_.data());
      environment_.push_back(listen_pid_.data());
    }
    environment_.push_back(nullptr);
  }

  /// In the child. Only what is safe after a fork in a process with other threads.
  [[noreturn]] void run() {
    reset_signals();
    const bool is_there = working_folder_ < 0 || ::fchdir(working_folder_) == 0;
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    // First out of the way of the numbers that they are to have.
    const int said = ::fcntl(said_, F_DUPFD_CLOEXEC, first_other_fd);
    const int lifeline = ::fcntl(lifeline_, F_DUPFD_CLOEXEC, first_other_fd);
    const auto moved = [null](int fd) {
      return fd < 0 ? null : ::fcntl(fd, F_DUPFD_CLOEXEC, first_other_fd);
    };
    const int listening = moved(listening_socket_);
    const int conversation = moved(conversation_);
    const int handed_over =
        handed_over_ < 0 ? -1 : ::fcntl(handed_over_, F_DUPFD_CLOEXEC, first_other_fd);
    if (null < 0 || ::dup2(conversation, STDIN_FILENO) < 0 ||
        ::dup2(conversation, STDOUT_FILENO) < 0 || ::dup2(said, STDERR_FILENO) < 0 ||
        ::dup2(listening, listen_fd) < 0 || ::dup2(lifeline, lifeline_fd) < 0 ||
        (handed_over_ >= 0 && ::dup2(handed_over, BoundChild::handed_over_fd) < 0)) {
      give_up("cannot hand over its descriptors");
    }
    if (!is_there) {
      give_up("cannot enter its folder");
    }
    // With them goes the writing end of the lifeline.
    const int first_closed_fd = handed_over_ < 0 ? BoundChild::handed_over_fd : first_other_fd;
    if (::syscall(SYS_close_range, first_closed_fd, ~0U, 0) != 0) {
      give_up("cannot close the other descriptors");
    }
    (void)::setsid();
    bind_life();
    char* const end = listen_pid_.data() + listen_pid_.size() - 1;
    *std::to_chars(listen_pid_.data() + listen_pid_prefix_size, end, ::getpid()).ptr = '\0';
    ::execve(argv_.front(), argv_.data(), environment_.data());
    give_up("cannot be executed");
  }

private:
  static constexpr std::size_t listen_pid_prefix_size = sizeof("LISTEN_PID=") - 1;

  [[noreturn]] static void give_up(const char* why) {
    (void)!::write(STDERR_FILENO, why, std::strlen(why));
    ::_exit(exit_not_started);
  }

  /// Our handlers and masks are none of the program's business.
  static void reset_signals() {
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) {
      (void)::sigaction(signal, &by_default, nullptr);
    }
    sigset_t kept_out;
    (void)::sigemptyset(&kept_out);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      (void)::sigaddset(&kept_out, signal);
    }
    (void)::pthread_sigmask(SIG_SETMASK, &kept_out, nullptr);
  }

  // And that of whatever it starts, which is in its group.
  static void bind_life() {
    if (::fcntl(lifeline_fd, F_SETOWN, -::getpid()) != 0 ||
        ::fcntl(lifeline_fd, F_SETSIG, SIGKILL) != 0 ||
        ::fcntl(lifeline_fd, F_SETFL, O_ASYNC) != 0) {
      give_up("cannot be bound to the life of who starts it");
    }
    struct pollfd lifeline = {.fd = lifeline_fd, .events = POLLIN, .revents = 0};
    if (::poll(&lifeline, 1, 0) != 0) {
      ::_exit(exit_not_started); // It was cut before it would have sent a signal.
    }
  }

  std::vector<std::string> arguments_;
  std::vector<char*> argv_;
  std::vector<char*> environment_;
  std::string listen_fds_ = "LISTEN_FDS=1";
  std::string listen_pid_ = "LISTEN_PID=                ";
  int listening_socket_;
  int conversation_;
  int handed_over_;
  int working_folder_;
  int said_;
  int lifeline_;
};

} // namespace

Result<std::string> BoundChild::find(std::string_view program) {
  const char* value = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe)
  std::string_view folders = value == nullptr ? "/usr/local/bin:/usr/bin:/bin" : value;
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::string path = fmt::format("{}/{}", folders.substr(0, end), program);
    if (path.front() == '/' && ::access(path.c_str(), X_OK) == 0) {
      return path;
    }
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  return Error(ErrorKind::unsupported, fmt::format("the program {} is not there", program),
               "install QEMU's tools (Debian: qemu-utils)");
}

Result<BoundChild> BoundChild::start(const std::vector<std::string>& arguments,
                                     int listening_socket, int conversation, int handed_over,
                                     int working_folder) {
  Result<Pipe> news = make_pipe();
  Result<Pipe> lifeline = make_pipe();
  if (!news || !lifeline) {
    return !news ? news.error() : lifeline.error();
  }
  // Who writes a lot there, and is not read, must not be stopped by it.
  (void)::fcntl(news->writer.get(), F_SETFL, O_NONBLOCK);
  (void)::fcntl(news->reader.get(), F_SETFL, O_NONBLOCK);
  Launch launch(arguments, listening_socket, conversation, handed_over, working_folder,
                news->writer.get(), lifeline->reader.get());
  // None of our handlers may run in the child.
  sigset_t all;
  sigset_t before;
  (void)::sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) {
    launch.run();
  }
  const int error = errno;
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return Error(ErrorKind::io, fmt::format("cannot start {}: {}", arguments.front(),
                                            std::generic_category().message(error)));
  }
  return BoundChild(pid, std::move(news->reader), std::move(lifeline->writer));
}

BoundChild::BoundChild(BoundChild&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), news_(std::move(other.news_)),
      lifeline_(std::move(other.lifeline_)), said_(std::move(other.said_)),
      exit_status_(other.exit_status_) {}

BoundChild::~BoundChild() {
  if (pid_ > 0) {
    kill();
    (void)reap();
  }
}

bool BoundChild::read_news() {
  std::array<char, 4096> buffer = {};
  for (;;) {
    const ssize_t count = ::read(news_.get(), buffer.data(), buffer.size());
    if (count > 0) {
      const std::size_t room = said_max_bytes - std::min(said_.size(), said_max_bytes);
      said_.append(buffer.data(), std::min(static_cast<std::size_t>(count), room));
    } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
      return false;
    } else if (errno == EAGAIN) {
      return true;
    }
  }
}

const std::string& BoundChild::said() {
  (void)read_news();
  return said_;
}

// Its standard error ends when it does, which poll() can wait for; the rest is a moment.
std::optional<int> BoundChild::wait(std::chrono::milliseconds time_limit) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + time_limit;
  while (pid_ > 0 && read_news()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    struct pollfd news = {.fd = news_.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 ||
        (::poll(&news, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)) {
      return std::nullopt;
    }
  }
  return reap();
}

int BoundChild::reap() {
  if (pid_ > 0) {
    int status = 0;
    pid_t reaped = -1;
    do {
      reaped = ::waitpid(pid_, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    pid_ = -1;
    // A program that collects every child's status leaves none for us.
    exit_status_ = reaped < 0          ? 0
                   : WIFEXITED(status) ? WEXITSTATUS(status)
                                       : 128 + WTERMSIG(status);
  }
  return exit_status_.value_or(0);
}

} // namespace vnvram
