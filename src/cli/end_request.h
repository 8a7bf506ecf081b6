// The wish of whoever has started a command that it should end.
#pragma once

#include <chrono>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// For a command that has something to clear away first.
///
/// Threads: one.
class EndRequest {
public:
  /// From now on SIGINT, SIGTERM and SIGHUP, as far as they are not ignored (nohup), only come
  /// here. Before there are threads. Errors: io.
  static Result<EndRequest> expect();

  /// Returns when the time has come. io: it is to end.
  Status wait_until(std::chrono::steady_clock::time_point time);
  /// If there was one, the process ends as if nobody had expected it.
  void obey() const;

private:
  explicit EndRequest(UniqueFd signals) : signals_(std::move(signals)) {}

  UniqueFd signals_;
  int signal_ = 0;
};

} // namespace vnvram::cli
