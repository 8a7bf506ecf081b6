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

StoreGate::Pass StoreGate::enter(Purpose purpose) {
  std::unique_lock lock(mutex_);
  ++waiting_count_;
  changed_.wait(lock, [&] { return !closed_ && (purpose == Purpose::read || !held_); });
  --waiting_count_;
  ++(purpose == Purpose::read ? reader_count_ : changer_count_);
  return {*this, purpose};
}

void StoreGate::leave(Purpose purpose) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& count = purpose == Purpose::read ? reader_count_ : changer_count_;
  assert(count > 0);
  --count;
  if (waiting_count_ > 0) { // Nearly never: a system call less for each use.
    changed_.notify_all();
  }
}

StoreGate::Closure StoreGate::close() {
  std::unique_lock lock(mutex_);
  assert(!closed_);
  closed_ = true;
  ++waiting_count_;
  changed_.wait(lock, [this] { return reader_count_ == 0 && changer_count_ == 0; });
  --waiting_count_;
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
  ++waiting_count_;
  changed_.wait(lock, [this] { return changer_count_ == 0; });
  --waiting_count_;
}

void StoreGate::release() {
  const std::lock_guard lock(mutex_);
  held_ = false;
  changed_.notify_all();
}

} // namespace vnvram
