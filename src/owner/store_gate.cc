#include "owner/store_gate.h"

#include <cassert>

namespace vnvram {

StoreGate::Pass::~Pass() {
  if (gate_ != nullptr) {
    gate_->leave(purpose_);
  }
}

StoreGate::Closure::~Closure() {
  gate_.open();
}

std::uint64_t& StoreGate::count_of(Purpose purpose) {
  switch (purpose) {
  case Purpose::read: return reader_count_;
  case Purpose::read_together: return together_count_;
  case Purpose::change: break;
  }
  return changer_count_;
}

template <typename Condition>
void StoreGate::wait(std::unique_lock<std::mutex>& lock, Condition condition) {
  ++waiting_count_;
  changed_.wait(lock, condition);
  --waiting_count_;
}

StoreGate::Pass StoreGate::enter(Purpose purpose) {
  std::unique_lock lock(mutex_);
  switch (purpose) {
  case Purpose::read: wait(lock, [this] { return !closed_; }); break;
  case Purpose::read_together:
    ++together_waiting_count_;
    wait(lock, [this] { return may_read_together(); });
    --together_waiting_count_;
    break;
  case Purpose::change: wait_to_change(lock, [this] { return may_change(); }); break;
  }
  ++count_of(purpose);
  return {*this, purpose};
}

std::optional<StoreGate::Pass> StoreGate::try_to_change() {
  std::unique_lock lock(mutex_);
  wait_to_change(lock, [this] { return held_ || may_change(); });
  if (held_) {
    return std::nullopt;
  }
  ++changer_count_;
  return Pass(*this, Purpose::change);
}

template <typename Condition>
void StoreGate::wait_to_change(std::unique_lock<std::mutex>& lock, Condition condition) {
  ++changer_waiting_count_;
  wait(lock, condition);
  --changer_waiting_count_;
  if (changers_turn_ && changer_waiting_count_ == 0) {
    changers_turn_ = false;
    changed_.notify_all();
  }
}

void StoreGate::leave(Purpose purpose) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& count = count_of(purpose);
  assert(count > 0);
  --count;
  if (purpose == Purpose::read_together && changer_waiting_count_ > 0) {
    changers_turn_ = true;
  }
  if (waiting_count_ > 0) { // Nearly never: a system call less for each use.
    changed_.notify_all();
  }
}

StoreGate::Closure StoreGate::close() {
  std::unique_lock lock(mutex_);
  assert(!closed_);
  closed_ = true;
  wait(lock, [this] { return reader_count_ == 0 && changer_count_ == 0 && together_count_ == 0; });
  return Closure(*this);
}

void StoreGate::open() {
  const std::lock_guard lock(mutex_);
  assert(closed_);
  closed_ = false;
  changed_.notify_all();
}

void StoreGate::hold() {
  std::unique_lock lock(mutex_);
  held_ = true;
  changed_.notify_all(); // Who only tries does not wait.
  wait(lock, [this] { return changer_count_ == 0; });
}

void StoreGate::release() {
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  releases_.tell();
}

bool StoreGate::is_held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

} // namespace vnvram
