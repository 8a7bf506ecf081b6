// A seeded run of everything that changes a store, with a CrashExplorer on its disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crash/crash_explorer.h"
#include "crash/replay_id.h"
#include "crash/store_state.h"
#include "support/random.h"

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
};

struct WorkloadOptions {
  std::uint64_t image_size_bytes = std::uint64_t{384} << 10U;
  std::uint64_t ring_size_bytes = std::uint64_t{64} << 10U;
  std::uint64_t blob_size_bytes_cap = 20000; ///< Its rewrite must fit half of the ring.
  unsigned steps = 60;
  WorkloadMix mix;
  ExplorerBudget budget;
};

class Workload {
public:
  Workload(const ReplayId& id, WorkloadOptions options);
  ~Workload();
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  /// Runs to the end, or to the first failure.
  const ExplorerReport& run();

private:
  struct Gate;

  bool create();
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
  enum class DeferredSize { any, small };
  bool defer_some();
  /// A transaction of one range.
  bool defer(const Transaction& transaction);
  Transaction some_deferred_write(const std::string& blob, DeferredSize size);
  bool flush();
  bool defer_inside();
  bool defer_two_small(bool readable);
  bool defer_in_vain(const std::string& blob);

  Transaction some_updates(unsigned count);
  void add_update(Transaction& transaction, const std::string& blob, unsigned kind);
  std::string some_blob();
  [[nodiscard]] std::unique_ptr<SimulatedDevice> device() const;
  /// False, with the failure noted, if the status is an error; for use as a step's result.
  bool succeeded(const char* what, const Status& status);
  bool fail(const std::string& what);

  ReplayId id_;
  WorkloadOptions options_;
  ExplorerReport report_;
  Random random_;
  std::shared_ptr<SimulatedDisk> disk_;
  std::unique_ptr<CrashExplorer> explorer_;
  std::unique_ptr<Store> store_;
};

} // namespace vnvram::test
