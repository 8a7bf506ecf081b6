#include "store/completions.h"

#include <cerrno>
#include <system_error>

#include <sys/eventfd.h>
#include <unistd.h>

namespace vnvram {

Completions::~Completions() {
  drain();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  if (runner_.joinable()) {
    runner_.join();
  }
  if (event_fd_ >= 0) {
    ::close(event_fd_);
  }
}

Status Completions::open_event_fd() {
  event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd_ < 0) {
    return Error{ErrorKind::io,
                 "cannot make an event fd: " + std::generic_category().message(errno)};
  }
  return {};
}

void Completions::signal_event_fd() const {
  const std::uint64_t one = 1;
  // Fails only when the counter is full; it is readable then anyway.
  [[maybe_unused]] const ssize_t written = ::write(event_fd_, &one, sizeof(one));
}

void Completions::clear_event_fd() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(event_fd_, &count, sizeof(count));
}

void Completions::start() {
  const std::lock_guard lock(mutex_);
  if (mode_ == CallbackMode::store_thread && !runner_.joinable()) {
    runner_ = std::jthread([this] { runner_main(); });
  }
}

void Completions::deliver(Prepared completion) noexcept {
  const std::lock_guard lock(mutex_);
  due_.splice(due_.end(), completion);
  if (mode_ == CallbackMode::event_fd) {
    signal_event_fd();
    return;
  }
  wake_.notify_one();
}

std::size_t Completions::dispatch() {
  if (mode_ != CallbackMode::event_fd) {
    return 0;
  }
  std::list<Completion> due;
  {
    const std::lock_guard lock(mutex_);
    clear_event_fd();
    due.swap(due_);
  }
  for (Completion& completion : due) {
    completion.callback(std::move(completion.result));
  }
  const std::lock_guard lock(mutex_);
  run_count_ += due.size();
  return due.size();
}

void Completions::drain() {
  if (mode_ == CallbackMode::event_fd) {
    while (dispatch() > 0) {
    }
    return;
  }
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return due_.empty() && !running_; });
}

std::uint64_t Completions::run_count() const {
  const std::lock_guard lock(mutex_);
  return run_count_;
}

void Completions::runner_main() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return !due_.empty() || stop_; });
    if (due_.empty()) {
      return;
    }
    Completion completion = std::move(due_.front());
    due_.pop_front();
    running_ = true;
    lock.unlock();
    completion.callback(std::move(completion.result));
    completion = {}; // What the callback holds goes before anyone is told that it has run.
    lock.lock();
    running_ = false;
    ++run_count_;
    if (due_.empty()) {
      idle_.notify_all();
    }
  }
}

} // namespace vnvram
