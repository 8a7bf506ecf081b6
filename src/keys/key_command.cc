#include "keys/key_command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/unique_fd.h"

extern char** environ; // NOLINT(readability-redundant-declaration): POSIX has no header for it.

namespace vnvram {
namespace {

using Clock = std::chrono::steady_clock;

Error system_failed(std::string_view what, int error) {
  return {ErrorKind::io, fmt::format("the command for a key: {}: {}", what,
                                     std::generic_category().message(error))};
}

/// A file in memory: the command can read it as slowly as it likes, or not at all, and nobody
/// waits.
Result<UniqueFd> input_file(std::span<const std::byte> input) {
  UniqueFd file(::memfd_create("key slot", MFD_CLOEXEC));
  if (!file.valid() ||
      ::write(file.get(), input.data(), input.size()) != static_cast<ssize_t>(input.size()) ||
      ::lseek(file.get(), 0, SEEK_SET) != 0) {
    return system_failed("its input cannot be made", errno);
  }
  return file;
}

/// How a program is started: with these two, our standard error, and nothing else of ours.
class Spawn {
public:
  Spawn(int input, int output) {
    (void)::posix_spawn_file_actions_init(&actions_);
    (void)::posix_spawnattr_init(&attributes_);
    (void)::posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    (void)::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    (void)::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    sigset_t signals;
    (void)::sigfillset(&signals);
    (void)::posix_spawnattr_setsigdefault(&attributes_, &signals);
    (void)::sigemptyset(&signals);
    (void)::posix_spawnattr_setsigmask(&attributes_, &signals);
    (void)::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() {
    (void)::posix_spawn_file_actions_destroy(&actions_);
    (void)::posix_spawnattr_destroy(&attributes_);
  }

  Result<pid_t> shell(std::string command) {
    std::array<std::string, 3> words = {"/bin/sh", "-c", std::move(command)};
    const std::array<char*, 4> arguments = {words[0].data(), words[1].data(), words[2].data(),
                                            nullptr};
    pid_t pid = -1;
    const int error =
        ::posix_spawn(&pid, words[0].c_str(), &actions_, &attributes_, arguments.data(), environ);
    return error == 0 ? Result<pid_t>(pid) : system_failed("cannot be started", error);
  }

private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

/// Killed, if it still runs when this goes.
class Shell {
public:
  explicit Shell(pid_t pid)
      : pid_(pid), ended_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;
  ~Shell() {
    if (pid_ > 0) {
      (void)::kill(pid_, SIGKILL);
      (void)wait();
    }
  }

  /// Readable when it has ended.
  [[nodiscard]] int fd() const { return ended_.get(); }
  /// Its exit status, 128 + n for a signal n.
  int wait() {
    int status = 0;
    pid_t reaped = -1;
    do {
      reaped = ::waitpid(pid_, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    pid_ = -1;
    constexpr int unknown = 255; // A program that collects every child's status leaves none for us.
    return reaped < 0 ? unknown : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

private:
  pid_t pid_;
  UniqueFd ended_;
};

/// False when it is too late.
bool wait_readable_until(int descriptor, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    struct pollfd readable = {.fd = descriptor, .events = POLLIN, .revents = 0};
    if (left.count() <= 0) {
      return false;
    }
    const int count = ::poll(&readable, 1, static_cast<int>(left.count()));
    if (count > 0 || (count < 0 && errno != EINTR)) {
      return count > 0;
    }
  }
}

Error too_slow() {
  return {ErrorKind::io, "the command for a key has not ended in time, and was stopped"};
}

Result<SecretBytes> read_output(int output, std::size_t max_bytes, Clock::time_point deadline) {
  std::vector<std::byte> bytes(max_bytes + 1);
  std::size_t size_bytes = 0;
  bool more = true;
  bool in_time = true;
  while (more && size_bytes < bytes.size()) {
    in_time = wait_readable_until(output, deadline);
    const ssize_t count =
        in_time ? ::read(output, &bytes[size_bytes], bytes.size() - size_bytes) : 0;
    size_bytes += count > 0 ? static_cast<std::size_t>(count) : 0;
    more = count > 0 || (count < 0 && errno == EINTR);
  }
  const SecretBytes whole(std::move(bytes));
  if (!in_time) {
    return too_slow();
  }
  if (size_bytes > max_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("the command for a key has written more than {} bytes", max_bytes),
                 "its standard output is the key and nothing else");
  }
  return SecretBytes(std::span(whole.get()).first(size_bytes));
}

} // namespace

Result<SecretBytes> run_key_command(const std::string& command, std::span<const std::byte> input,
                                    std::size_t output_max_bytes,
                                    std::chrono::milliseconds time_limit) {
  const Clock::time_point deadline = Clock::now() + time_limit;
  const Result<UniqueFd> file = input_file(input);
  if (!file) {
    return file.error();
  }
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return system_failed("no pipe", errno);
  }
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const Result<pid_t> pid = Spawn(file->get(), writer.get()).shell(command);
  writer.reset();
  if (!pid) {
    return pid.error();
  }
  Shell shell(*pid);
  Result<SecretBytes> output = read_output(reader.get(), output_max_bytes, deadline);
  if (!output) {
    return output;
  }
  if (!wait_readable_until(shell.fd(), deadline)) {
    return too_slow();
  }
  const int status = shell.wait();
  if (status != 0) {
    return Error(ErrorKind::io, fmt::format("the command for a key has ended with {}", status),
                 "it says why on its standard error");
  }
  return output;
}

} // namespace vnvram
