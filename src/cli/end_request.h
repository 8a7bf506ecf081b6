// The wish of whoever has started a command that it should end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// For a command that has something to clear away first. A second wish ends it at once, wherever it
/// is.
///
/// Threads: one, and one of its own.
class EndRequest {
public:
  /// From now on SIGINT, SIGTERM and SIGHUP, as far as they are not ignored (nohup), only come
  /// here. Before there are threads. Errors: io.
  static Result<std::unique_ptr<EndRequest>> expect();
  EndRequest(const EndRequest&) = delete;
  EndRequest& operator=(const EndRequest&) = delete;
  ~EndRequest();

  /// Returns when the time has come. io: it is to end.
  Status wait_until(std::chrono::steady_clock::time_point time);
  /// Called, on another thread, when the command has not ended some seconds after it was asked to:
  /// somebody it waits for does not answer.
  void when_stuck(std::function<void()> unblock);
  /// Whether there was one.
  [[nodiscard]] bool has_come();
  /// If there was one, the process ends as if nobody had expected it.
  void obey();

private:
  EndRequest(UniqueFd signals, UniqueFd stop)
      : signals_(std::move(signals)), stop_(std::move(stop)), watcher_([this] { watch(); }) {}
  void watch();
  void unblock();
  void take(int signal);

  const UniqueFd signals_;
  const UniqueFd stop_;
  std::mutex mutex_; ///< Guards the next two.
  int signal_ = 0;
  std::function<void()> when_stuck_;
  std::condition_variable came_;
  std::thread watcher_; ///< Uses all of them.
};

} // namespace vnvram::cli
