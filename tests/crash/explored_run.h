// What every workload has: its dice, a disk with an image on it, and the explorer that cuts it.
#pragma once

#include <memory>
#include <string>

#include "crash/crash_explorer.h"
#include "crash/random_changes.h"
#include "crash/replay_id.h"
#include "crash/store_state.h"
#include "crash/workload_options.h"
#include "support/random.h"

namespace vnvram::test {

class ExploredRun {
protected:
  ExploredRun(const ReplayId& id, WorkloadOptions options)
      : id_(id), options_(options), random_(id.seed) {}
  ~ExploredRun() = default;

  /// An image with the blobs a and b.
  bool create();

  std::string some_blob() { return changes_.some_blob(explorer_->newest()); }
  Transaction some_updates(unsigned count) {
    return changes_.some_updates(explorer_->newest(), count);
  }
  Transaction some_deferred_write(const std::string& blob, DeferredSize size) {
    return changes_.some_deferred_write(explorer_->newest(), blob, size);
  }

  /// False, with the failure noted, if the status is an error; for use as a step's result.
  bool succeeded(const char* what, const Status& status);
  bool fail(const std::string& what);

  ReplayId id_;
  WorkloadOptions options_;
  ExplorerReport report_;
  Random random_;
  RandomChanges changes_{random_};
  std::shared_ptr<SimulatedDisk> disk_;
  std::unique_ptr<CrashExplorer> explorer_;

public:
  ExploredRun(const ExploredRun&) = delete;
  ExploredRun& operator=(const ExploredRun&) = delete;
};

/// As the workloads register them.
[[nodiscard]] BlobSpec spec_of(const std::string& name, std::uint64_t size_max_bytes);

} // namespace vnvram::test
