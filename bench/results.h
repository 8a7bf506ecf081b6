// What the benchmark finds out, before it is printed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/full_ring.h"
#include "support/counting_device.h"

namespace vnvram::bench {

/// A series of times in microseconds.
class Times {
public:
  void add(double microseconds) { values_.push_back(microseconds); }
  /// The value below which the fraction (0 to 1) of the others lies.
  [[nodiscard]] double percentile(double fraction) const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const auto index = static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1));
    return sorted.at(index);
  }
  [[nodiscard]] double p50() const { return percentile(0.5); }
  [[nodiscard]] double p99() const { return percentile(0.99); }

private:
  std::vector<double> values_;
};

/// Of two costs the larger, number by number.
inline void keep_worst(test::DeviceCost& worst, const test::DeviceCost& cost) {
  worst.writes = std::max(worst.writes, cost.writes);
  worst.durable_writes = std::max(worst.durable_writes, cost.durable_writes);
  worst.flushes = std::max(worst.flushes, cost.flushes);
  worst.bytes = std::max(worst.bytes, cost.bytes);
  worst.reads = std::max(worst.reads, cost.reads);
}

struct CommitCost {
  std::string name;
  std::uint64_t commits = 0;
  /// Of each commit that ran no checkpoint: the most that was seen.
  test::DeviceCost worst;
};

struct CheckpointCost {
  std::uint64_t commits = 0;
  std::uint64_t checkpoints = 0;
  test::DeviceCost all; ///< Of all checkpoints together, without the commits.
  [[nodiscard]] std::uint64_t flushes() const { return all.flushes + all.durable_writes; }
};

struct CommitTimes {
  std::string name;
  Times times;
};

struct LatencyResult {
  Times floor_buffered;
  Times floor_direct;
  std::vector<CommitTimes> commits;
  [[nodiscard]] double floor_p50() const {
    return std::min(floor_buffered.p50(), floor_direct.p50());
  }
};

/// On one NBD server.
struct NbdResult {
  std::string server;
  std::uint64_t commits = 0;
  /// Of each commit that ran no checkpoint: the most that was seen. A durable write is one with
  /// FUA.
  test::DeviceCost worst;
  Times floor; ///< One write of 4 KiB with FUA, by libnbd alone, to the same server.
  Times commit;
};

struct RbdResult {
  std::uint64_t commits = 0;
  /// Of each commit that ran no checkpoint: the most that was seen.
  test::DeviceCost worst;
  Times floor_uncached; ///< One write of 4 KiB and a flush, by librbd alone, without its cache.
  Times floor_cached;   ///< The same with it.
  Times commit;
  Times floor_opening; ///< rbd_open() of a new client, and a read as large as the ring.
  Times opening;       ///< open_device() and Store::open().
  [[nodiscard]] double floor_p50() const {
    return std::min(floor_uncached.p50(), floor_cached.p50());
  }
};

/// In one place: commits that look whether the image is still ours, and commits that do not.
struct OwnerCheckResult {
  std::string where;
  Times with;
  Times without;
};

/// Commits that are anchored one by one, and commits of an image without an anchor, in turn.
struct AnchorResult {
  std::string where;
  Times times;
  Times without = {};
};

/// The same of a plain image and of an encrypted one.
struct EncryptionTimes {
  std::string what;
  Times plain = {};
  Times encrypted = {};
};
struct EncryptionResult {
  test::DeviceCost commit; ///< Of one of 3 KiB, encrypted.
  std::vector<EncryptionTimes> times;
};

struct ThreadResult {
  unsigned threads = 0;
  double one_per_second = 0;
  double many_per_second = 0;
};

/// Commits of 16 bytes through an owner's socket, and in one's own process.
struct RemoteResult {
  Times local;
  Times remote;
  unsigned sessions = 0; ///< Of the many.
  double one_per_second = 0;
  double many_per_second = 0;
};

struct OpeningResult {
  RingUse ring;    ///< Of the full one.
  Times full_ring; ///< Microseconds, Store::open of an image with a full ring.
  Times clean;     ///< Of an image that was closed in good order.
  Times close;
  Times qcow2; ///< Of a qcow2 image, the start of its qemu-nbd included.
};

} // namespace vnvram::bench
