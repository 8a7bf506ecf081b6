// Runs the callbacks of asynchronous commits where the store's user wants them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// In order, each exactly once. They never run on a thread that commits: a callback may commit.
class Completions {
public:
  struct Completion {
    std::function<void(Status)> callback;
    Status result;
  };
  /// One, made while who asks for it still hears that there is no memory for it.
  using Prepared = std::list<Completion>;

  explicit Completions(CallbackMode mode) : mode_(mode) {}
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;
  /// Runs what has not run yet.
  ~Completions();

  /// For CallbackMode::event_fd, before anything else. io, unsupported.
  Status open_event_fd();
  [[nodiscard]] int event_fd() const { return event_fd_; }

  /// Before the first commit whose answer is to be delivered, while who asked for it still hears
  /// that no thread can be started (std::system_error).
  void start();
  void deliver(Prepared completion) noexcept;
  std::size_t dispatch();
  /// Waits until every callback that was delivered has run; with an event fd, runs them here.
  void drain();
  /// How many callbacks have run to their end.
  [[nodiscard]] std::uint64_t run_count() const;

private:
  void runner_main();
  void signal_event_fd() const;
  void clear_event_fd() const;

  const CallbackMode mode_;
  int event_fd_ = -1;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::list<Completion> due_;
  bool running_ = false;
  std::uint64_t run_count_ = 0;
  bool stop_ = false;
  std::jthread runner_; // CallbackMode::store_thread, see start()
};

} // namespace vnvram
