// What a store has done since it was opened, for who watches it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace vnvram {

/// The longest that a commit of each class of durations takes; there is one more class without
/// such a bound.
inline constexpr std::array<std::chrono::microseconds, 14> commit_duration_bounds_max{
    std::chrono::microseconds(50),      std::chrono::microseconds(100),
    std::chrono::microseconds(250),     std::chrono::microseconds(500),
    std::chrono::microseconds(1000),    std::chrono::microseconds(2500),
    std::chrono::microseconds(5000),    std::chrono::microseconds(10000),
    std::chrono::microseconds(25000),   std::chrono::microseconds(50000),
    std::chrono::microseconds(100000),  std::chrono::microseconds(250000),
    std::chrono::microseconds(1000000), std::chrono::microseconds(5000000)};

/// Each only grows while the store is open. They are read one by one, so two of them may be of two
/// moments.
struct StoreCounters {
  /// Transactions that became durable, those that changed nothing included, by how long that took
  /// from the call on: how many of each class, and all of it together.
  std::array<std::uint64_t, commit_duration_bounds_max.size() + 1> commits_by_duration{};
  std::chrono::nanoseconds commit_duration_sum{};
  std::uint64_t failed_commits = 0; ///< Transactions that were refused, or could not be written.
  std::uint64_t deferred_writes = 0;

  std::uint64_t records = 0; ///< Each has one commit or several, or what was deferred.
  std::uint64_t records_size_bytes = 0;
  std::uint64_t checkpoints = 0;
  /// How long ago the last of them was done.
  std::optional<std::chrono::nanoseconds> last_checkpoint_age = std::nullopt;

  std::uint64_t device_reads = 0;
  std::uint64_t device_read_bytes = 0;
  std::uint64_t device_writes = 0; ///< Durable ones included.
  std::uint64_t device_written_bytes = 0;
  std::uint64_t device_durable_writes = 0;
  std::uint64_t device_flushes = 0;

  /// Of all classes.
  [[nodiscard]] std::uint64_t commits() const {
    std::uint64_t count = 0;
    for (const std::uint64_t of_class : commits_by_duration) {
      count += of_class;
    }
    return count;
  }
};

} // namespace vnvram
