// Sessions that change a served store at the same time, each its own blobs, with a CrashExplorer on
// the owner's disk.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crash/explored_run.h"
#include "crash/served_store.h"

namespace vnvram::test {

/// Which session's change comes first is for the machine to say, so each run is another one: what
/// is explored is every cut of the run that it was. A replay id names the place, and need not find
/// it again.
///
/// In which order changes of different sessions came is not known either, so an image may hold any
/// state of each session's blobs that is not older than what must be there: what was answered as
/// durable, and what any session was answered before another asked for something durable.
class SharedWorkload final : ExploredRun {
public:
  SharedWorkload(const ReplayId& id, WorkloadOptions options) : ExploredRun(id, options) {}

  /// Runs to the end, or to the first failure.
  const ExplorerReport& run();

private:
  static constexpr std::size_t writer_count = 3;
  /// By writer: the number of a state of its blobs.
  using Numbers = std::array<std::uint64_t, writer_count>;

  struct Writer {
    std::size_t number = 0;
    Random random{0};
    std::unique_ptr<RemoteBlobClient> client;
    std::deque<StoreState> states;     ///< Of its blobs: what must be there, then those submitted.
    std::uint64_t first_number = 0;    ///< Of states.front().
    std::uint64_t answered_number = 0; ///< Of the last change that was answered, deferred or not.
  };

  bool open();
  bool register_blobs();
  bool round();
  bool close();
  bool compare();

  // On a writer's thread. The others acknowledge for it, too, so its states are the turn's.
  void write(Writer& writer);
  bool has_many(const Writer& writer);
  StoreState newest_of(const Writer& writer);
  bool commit(Writer& writer);
  bool defer(Writer& writer);
  bool flush(Writer& writer);
  /// Returns its number, and in `durable` what is durable when it is answered as such.
  std::uint64_t submit(Writer& writer, const Transaction& transaction, Numbers& durable);

  // With the turn taken.
  [[nodiscard]] Numbers answered() const;
  void acknowledge(const Numbers& durable, std::uint64_t generation);
  void tell_explorer();
  bool failed(const char* what, const Error& error);

  std::optional<ServedStore> served_;
  std::array<Writer, writer_count> writers_;
  std::uint64_t generation_min_ = 0;
};

} // namespace vnvram::test
