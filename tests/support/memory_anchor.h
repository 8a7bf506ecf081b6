// An anchor in memory, which a test can cut, break and look into.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "vnvram/anchor.h"

namespace vnvram::test {

/// Threads: any.
class MemoryAnchor final : public Anchor {
public:
  MemoryAnchor() = default;
  explicit MemoryAnchor(std::optional<AnchorPoint> point) : point_(point) {}

  /// Called before each write, with what is to be written.
  void set_hook(std::function<void(const AnchorPoint&)> hook) { hook_ = std::move(hook); }
  /// Called after each read, before its caller has what was read.
  void set_read_hook(std::function<void()> hook) { read_hook_ = std::move(hook); }
  /// How each read fails from now on.
  void set_read_error(Error error) { read_error_ = std::move(error); }
  /// Whether writes fail from now on.
  void set_broken(bool broken) { broken_ = broken; }
  [[nodiscard]] std::optional<AnchorPoint> point() const {
    const std::lock_guard lock(mutex_);
    return point_;
  }
  [[nodiscard]] unsigned write_count() const { return write_count_; }
  [[nodiscard]] bool is_locked() const { return is_locked_; }

  [[nodiscard]] std::string name() const override { return "memory anchor"; }
  Status lock() override {
    if (is_locked_.exchange(true)) {
      return Error(ErrorKind::in_use, "memory anchor: locked");
    }
    return {};
  }
  void unlock() override { is_locked_ = false; }
  Result<std::optional<AnchorPoint>> read() override {
    if (read_error_) {
      return *read_error_;
    }
    const std::optional<AnchorPoint> read = point();
    if (read_hook_) {
      read_hook_();
    }
    return read;
  }
  Status write(const AnchorPoint& point) override {
    if (hook_) {
      hook_(point);
    }
    ++write_count_;
    write_count_.notify_all();
    if (broken_) {
      return Error(ErrorKind::io, "memory anchor: cannot be written");
    }
    const std::lock_guard lock(mutex_);
    point_ = point;
    return {};
  }
  /// Returns when there were so many writes.
  void wait_for_writes(unsigned count) const {
    for (unsigned now = write_count_; now < count; now = write_count_) {
      write_count_.wait(now);
    }
  }

private:
  mutable std::mutex mutex_;
  std::optional<AnchorPoint> point_;
  std::function<void(const AnchorPoint&)> hook_;
  std::function<void()> read_hook_;
  std::optional<Error> read_error_;
  std::atomic<bool> broken_ = false;
  std::atomic<bool> is_locked_ = false;
  std::atomic<unsigned> write_count_ = 0;
};

} // namespace vnvram::test
