// A seeded run of everything that changes a store, with a CrashExplorer on its disk.
#pragma once

#include <memory>
#include <string>

#include "crash/explored_run.h"

namespace vnvram::test {

class Workload final : ExploredRun {
public:
  Workload(const ReplayId& id, WorkloadOptions options);

  /// Runs to the end, or to the first failure.
  const ExplorerReport& run();

private:
  struct Gate;

  /// With threads of its own the store answers asynchronous commits; without, it is deterministic.
  bool open(bool with_threads = false);
  bool step();
  bool commit(const Transaction& transaction);
  /// Of those submitted, the first `count` are durable.
  bool acknowledge(std::size_t count);
  bool commit_some();
  bool group_commit();
  bool register_more();
  bool remove_one();
  bool remove(const std::string& blob);
  bool checkpoint(bool commit_inside);
  [[nodiscard]] bool ring_has_room() const;
  bool fill_ring_inside_checkpoint();
  bool close();
  bool reopen();
  bool grow_image();
  bool compare();

  // Deferred writes (workload_deferred.cc).
  bool defer_some();
  /// A transaction of one range.
  bool defer(const Transaction& transaction);
  bool flush();
  bool defer_inside();
  bool defer_two_small(bool readable);
  bool defer_in_vain(const std::string& blob);

  [[nodiscard]] std::unique_ptr<SimulatedDevice> device() const;

  std::unique_ptr<Store> store_;
};

} // namespace vnvram::test
