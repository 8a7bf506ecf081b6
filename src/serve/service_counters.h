// What the owner has done for its sessions.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vnvram/error.h"

namespace vnvram {

/// Since it has started. Threads: any.
class ServiceCounters {
public:
  static constexpr std::size_t kind_count = static_cast<std::size_t>(ErrorKind::not_at_anchor) + 1;

  void add_session() { increase(sessions_); }
  void add_calls(std::uint64_t count) { calls_.fetch_add(count, std::memory_order_relaxed); }
  /// A call that was carried out, and failed.
  void add_failed_call(ErrorKind kind) { increase(of(failed_calls_, kind)); }
  /// What the store does of its own accord has failed.
  void add_background_failure(ErrorKind kind) { increase(of(background_failures_, kind)); }

  [[nodiscard]] std::uint64_t sessions() const { return sessions_; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] std::uint64_t failed_calls(ErrorKind kind) const {
    return failed_calls_[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] std::uint64_t background_failures(ErrorKind kind) const {
    return background_failures_[static_cast<std::size_t>(kind)];
  }

private:
  using Counter = std::atomic<std::uint64_t>;
  using ByKind = std::array<Counter, kind_count>;

  static void increase(Counter& counter) { counter.fetch_add(1, std::memory_order_relaxed); }
  static Counter& of(ByKind& counters, ErrorKind kind) {
    return counters[static_cast<std::size_t>(kind)];
  }

  Counter sessions_ = 0;
  Counter calls_ = 0;
  ByKind failed_calls_{};
  ByKind background_failures_{};
};

} // namespace vnvram
