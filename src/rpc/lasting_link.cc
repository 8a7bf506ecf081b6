#include "rpc/lasting_link.h"

#include <algorithm>

#include <fmt/core.h>

namespace vnvram {
namespace {

using std::chrono::milliseconds;

// Between two attempts: short at first, since an owner that is started again is back soon.
constexpr milliseconds pause_min{1};
constexpr milliseconds pause_max{10};

// The owner may still be starting, or be started once more.
bool may_pass(const Error& error) {
  return error.kind() == ErrorKind::io || error.kind() == ErrorKind::absent ||
         error.kind() == ErrorKind::poisoned;
}

double seconds(LastingLink::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

} // namespace

Result<LastingLink::Link> LastingLink::current() {
  const std::lock_guard lock(mutex_);
  return failed_ ? Result<Link>(*failed_) : link_;
}

void LastingLink::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  link_->stop_following();
  if (resuming_ != nullptr) {
    resuming_->shut_down();
  }
  changed_.notify_all();
}

Result<LastingLink::Link> LastingLink::wait_for_another(const Link& lost, bool watches) {
  const auto until = Clock::now() + setup_.patience;
  const bool is_urgent = !watches || setup_.is_urgent();
  std::unique_lock lock(mutex_);
  if (link_ == lost && !is_lost_) {
    is_lost_ = true;
    lost_at_ = Clock::now();
    obstacle_ = lost->loss().cause();
    lost->shut_down(); // What it was allowed to write, the next one may not before it is over.
    if (!setup_.connect) {
      failed_ = lost->loss();
    }
  }
  while (is_lost_ && !failed_ && !stopping_) {
    const bool in_time = Clock::now() < until;
    if (!in_time && !watches && resuming_ == nullptr) {
      give_up({ErrorKind::io,
               fmt::format("the image's owner has not come back within {} s: {}",
                           seconds(setup_.patience), obstacle_),
               "start the owner, and then what uses it, anew"});
    } else if (!is_connecting_ && is_urgent && in_time) {
      reconnect(lock, until);
    } else if (watches || resuming_ != nullptr) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, until);
    }
  }
  if (stopping_) {
    return Error(ErrorKind::io, "this session of the image's owner ends");
  }
  return failed_ ? Result<Link>(*failed_) : link_;
}

void LastingLink::give_up(const Error& why) {
  failed_ = why;
  changed_.notify_all();
}

void LastingLink::reconnect(std::unique_lock<std::mutex>& lock, Clock::time_point until) {
  is_connecting_ = true;
  milliseconds pause = pause_min;
  while (!failed_ && !stopping_ && Clock::now() < until) {
    const Status connected = try_to_reconnect(lock);
    if (connected) {
      break;
    }
    obstacle_ = connected.error().text();
    if (!may_pass(connected.error())) {
      give_up(connected.error());
    }
    changed_.wait_until(lock, std::min(until, Clock::now() + pause),
                        [this] { return failed_ || stopping_; });
    pause = std::min(2 * pause, pause_max);
  }
  is_connecting_ = false;
  changed_.notify_all();
}

Status LastingLink::try_to_reconnect(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  Result<UniqueFd> socket = setup_.connect();
  Result<std::unique_ptr<OwnerLink>> opened =
      socket ? OwnerLink::open(*std::move(socket)) : socket.error();
  lock.lock();
  if (!opened || failed_ || stopping_) {
    return opened ? Status() : opened.error();
  }
  const Link link = *std::move(opened);
  resuming_ = link;
  lock.unlock();
  const Status resumed = setup_.resume(*link);
  lock.lock();
  resuming_ = nullptr;
  if (!resumed) {
    link->shut_down();
    return resumed;
  }
  link_ = link;
  is_lost_ = false;
  setup_.log(
      fmt::format("the image's owner is back after {:.3f} s", seconds(Clock::now() - lost_at_)));
  return {};
}

} // namespace vnvram
