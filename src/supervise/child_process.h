// A process that this one has started.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// What is started, and with what.
struct Program {
  std::string path; ///< Looked for along PATH if there is no slash in it.
  std::vector<std::string> arguments;
  /// Are 3, 4, ... there; it gets no others but the standard ones.
  std::vector<int> descriptors;
  /// NAME=VALUE, beside what is in ours.
  std::vector<std::string> environment;
  /// So many of them, the first, are sockets for a program that expects systemd's
  /// (sd_listen_fds(3)).
  std::size_t activating_count = 0;
};

/// Ends with this process, by SIGTERM, however that ends.
///
/// Threads: one, the only one of the process when something is started.
class ChildProcess {
public:
  /// Errors: io (no process can be made), absent (there is no such program).
  static Result<ChildProcess> start(const Program& program);
  ChildProcess(ChildProcess&& other) noexcept = default;
  ChildProcess& operator=(ChildProcess&& other) noexcept = default;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  /// Kills it if it runs.
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable when it has ended.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Asks it to end.
  void terminate() const;
  /// Waits for its end. Returns the exit code, or 128 and the signal's number, as a shell does.
  int wait();

private:
  ChildProcess(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}

  pid_t pid_;
  UniqueFd fd_; ///< pidfd_open(2); none when it was waited for.
};

} // namespace vnvram
