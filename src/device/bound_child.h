// A program that we start and that does not outlive us.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// The program holds the reading end of a pipe, the lifeline, and this object the only writing end.
/// When that is closed, by kill(), by the destructor, or by the kernel because this process has
/// ended in whatever way, the kernel sends SIGKILL to the program (F_SETSIG on the pipe).
/// PR_SET_PDEATHSIG would do that when the *thread* that forked ends, and not at all once we have
/// become another user.
///
/// It runs in a session of its own with SIGTERM, SIGINT and SIGHUP blocked: whoever ends a group of
/// processes (a terminal, systemd) ends us, and we still need it to end in good order. What it
/// starts goes with it, for as long as it stays in its group of processes and its user.
class BoundChild {
public:
  /// Where PATH has the program. Error: unsupported.
  static Result<std::string> find(std::string_view program);

  /// Starts `arguments[0]`, a path. Its standard input and output are /dev/null, or `conversation`
  /// unless that is -1; its standard error goes to said(). `listening_socket`, unless -1, is handed
  /// over as systemd does it (LISTEN_FDS), and `handed_over`, unless -1, is its descriptor
  /// handed_over_fd. All other descriptors stay here. It is started in the folder that
  /// `working_folder` is open on, unless -1. Errors: io.
  static Result<BoundChild> start(const std::vector<std::string>& arguments,
                                  int listening_socket = -1, int conversation = -1,
                                  int handed_over = -1, int working_folder = -1);
  static constexpr int handed_over_fd = 5;

  BoundChild(BoundChild&& other) noexcept;
  BoundChild& operator=(BoundChild&&) = delete;
  /// Kills it if it still runs.
  ~BoundChild();

  /// Waits until it has ended. Its exit status, 128 + n for a signal n; nullopt: not in this time.
  std::optional<int> wait(std::chrono::milliseconds time_limit);
  void kill() { lifeline_.reset(); }
  /// What it wrote to standard error so far, its beginning if it is much.
  const std::string& said();

private:
  BoundChild(pid_t pid, UniqueFd news, UniqueFd lifeline)
      : pid_(pid), news_(std::move(news)), lifeline_(std::move(lifeline)) {}
  /// False at the end of what it says: it has ended, or is about to.
  bool read_news();
  int reap();

  pid_t pid_;
  UniqueFd news_;
  UniqueFd lifeline_;
  std::string said_;
  std::optional<int> exit_status_;
};

} // namespace vnvram
