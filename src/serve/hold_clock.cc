#include "serve/hold_clock.h"

namespace vnvram {

HoldClock::~HoldClock() {
  alarm_.stop();
  release();
}

Result<std::uint64_t> HoldClock::hold(Clock::Duration duration) {
  const std::lock_guard lock(mutex_);
  return hold_locked(duration);
}

Result<std::uint64_t> HoldClock::hold_alone(Clock::Duration duration) {
  const std::lock_guard lock(mutex_);
  if (ends_at_) {
    return Error(ErrorKind::in_use, "changes are held already");
  }
  return hold_locked(duration);
}

Result<std::uint64_t> HoldClock::hold_locked(Clock::Duration duration) {
  if (!keeper_.is_attached() || ended_) {
    return Error(ErrorKind::absent, ended_ ? "the image's owner ends" : "no image is attached");
  }
  if (Status held = keeper_.hold(); !held) {
    release_locked();
    return held.error();
  }
  ends_at_ = clock_.now() + duration;
  if (!alarm_.set(*ends_at_)) {
    release_locked();
    return Error(ErrorKind::io, "no thread can be started to end the hold in time");
  }
  return ++number_;
}

Result<bool> HoldClock::look_again() {
  const std::lock_guard lock(mutex_);
  if (!keeper_.is_attached()) {
    return Error(ErrorKind::absent, "no image is attached");
  }
  const Result<bool> current = keeper_.is_current();
  if (!current || *current) {
    return current ? Result<bool>(false) : current.error();
  }
  release_locked();
  const Status reopened = keeper_.reopen();
  return reopened ? Result<bool>(true) : reopened.error();
}

bool HoldClock::release(std::optional<std::uint64_t> number) {
  const std::lock_guard lock(mutex_);
  const bool was_held = ends_at_ && (!number || *number == number_);
  if (was_held || !number) {
    release_locked();
  }
  return was_held;
}

Status HoldClock::while_held(std::uint64_t number, const std::function<Status()>& work) {
  const std::lock_guard lock(mutex_);
  return ends_at_ && number == number_
             ? work()
             : Error(ErrorKind::stale, "changes are not held any more",
                     "try again; the target was too slow, or somebody has released them");
}

void HoldClock::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  release_locked();
}

void HoldClock::time_has_come() {
  const std::lock_guard lock(mutex_);
  // It may have been released since, or have a new time.
  if (ends_at_ && *ends_at_ <= clock_.now()) {
    release_locked();
  }
}

void HoldClock::release_locked() {
  ends_at_.reset();
  keeper_.release();
}

} // namespace vnvram
