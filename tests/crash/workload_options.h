// What a workload does, and how much of it is explored.
#pragma once

#include <cstdint>

#include "crash/crash_explorer.h"

namespace vnvram::test {

/// How often each kind of step is taken, relative to the others.
struct WorkloadMix {
  unsigned write_whole = 5;
  unsigned write_range = 8;
  unsigned several_blobs = 6;
  unsigned set_size = 3;
  unsigned group_commit = 3;
  unsigned register_more = 3;
  unsigned remove = 1;
  unsigned checkpoint = 2;
  unsigned commit_inside_checkpoint = 3;
  unsigned reopen = 2;
  unsigned grow_image = 1;
  unsigned fill_ring = 1;
  unsigned deferred = 0;
  unsigned flush = 0;
  unsigned deferred_inside = 0;
  // Of a served store alone.
  unsigned hold = 0;
  unsigned new_session = 0;
};

struct WorkloadOptions {
  std::uint64_t image_size_bytes = std::uint64_t{384} << 10U;
  std::uint64_t ring_size_bytes = std::uint64_t{64} << 10U;
  std::uint64_t blob_size_bytes_cap = 20000; ///< Its rewrite must fit half of the ring.
  unsigned steps = 60;
  bool encrypted = false;
  bool grows = false; ///< By itself, some blocks further after each opening.
  WorkloadMix mix;
  ExplorerBudget budget;
};

} // namespace vnvram::test
