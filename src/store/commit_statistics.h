// How many commits there were, and how long they took.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "vnvram/store_counters.h"

namespace vnvram {

/// Threads: any. A commit costs a few additions.
class CommitStatistics {
public:
  void add(std::chrono::nanoseconds duration) {
    const auto& bounds = commit_duration_bounds_max;
    const auto bound = std::lower_bound(bounds.begin(), bounds.end(), duration);
    increase(by_duration_[static_cast<std::size_t>(bound - bounds.begin())], 1);
    increase(sum_ns_, static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)));
  }
  void add_failed() { increase(failed_, 1); }
  void add_deferred_write() { increase(deferred_writes_, 1); }
  void add_record(std::uint64_t size_bytes) {
    increase(records_, 1);
    increase(records_size_bytes_, size_bytes);
  }

  void write_counters(StoreCounters& counters) const {
    std::copy(by_duration_.begin(), by_duration_.end(), counters.commits_by_duration.begin());
    counters.commit_duration_sum = std::chrono::nanoseconds(sum_ns_);
    counters.failed_commits = failed_;
    counters.deferred_writes = deferred_writes_;
    counters.records = records_;
    counters.records_size_bytes = records_size_bytes_;
  }

private:
  using Counter = std::atomic<std::uint64_t>;

  static void increase(Counter& counter, std::uint64_t count) {
    counter.fetch_add(count, std::memory_order_relaxed);
  }

  std::array<Counter, commit_duration_bounds_max.size() + 1> by_duration_{};
  Counter sum_ns_ = 0;
  Counter failed_ = 0;
  Counter deferred_writes_ = 0;
  Counter records_ = 0;
  Counter records_size_bytes_ = 0;
};

} // namespace vnvram
