// What the benchmark finds out, before it is printed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

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

struct ThreadResult {
  unsigned threads = 0;
  double one_per_second = 0;
  double many_per_second = 0;
};

struct OpeningResult {
  std::uint64_t ring_size_bytes = 0;
  std::uint64_t ring_used_bytes = 0;
  Times full_ring; ///< Microseconds, Store::open of an image with a full ring.
  Times clean;     ///< Of an image that was closed in good order.
  Times close;
};

} // namespace vnvram::bench
