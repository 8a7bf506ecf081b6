// A seeded run of everything that a session asks of a store's owner by its socket, with a
// CrashExplorer on the owner's disk: what was answered there has to be on the disk.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "crash/explored_run.h"
#include "crash/served_store.h"

namespace vnvram::test {

/// One call at a time, so the run is the same each time.
class ServedWorkload final : ExploredRun {
public:
  ServedWorkload(const ReplayId& id, WorkloadOptions options) : ExploredRun(id, options) {}

  /// Runs to the end, or to the first failure.
  const ExplorerReport& run();

private:
  bool open();
  bool connect();
  bool step();
  bool commit_some();
  bool defer_some();
  bool flush();
  bool hold();
  bool register_more();
  bool remove_one();
  bool new_session();
  bool close();
  bool reopen();
  bool compare();

  void submit(const StoreState& state);
  /// Of what was submitted before the call; `generation` has it.
  bool acknowledge(std::size_t count, std::uint64_t generation);
  /// The same for an answer that names no generation.
  bool acknowledge(std::size_t count);

  std::optional<ServedStore> served_;
  std::unique_ptr<RemoteBlobClient> client_;
};

} // namespace vnvram::test
