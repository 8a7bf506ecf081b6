// Commits: what goes into the next record, in whose name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "store/checkpointer.h"
#include "store/commit_queue.h"
#include "store/completions.h"
#include "store/owner_check.h"
#include "store/record_writer.h"
#include "store/shared_state.h"
#include "store/stage.h"

namespace vnvram {

/// Carries out the requests of the commit queue, round by round: each round puts what was deferred
/// and as many transactions as one record holds into the stage and has it written; or changes the
/// directory; or lets a slow read have its turn.
///
/// Threads: all public calls may come from any thread. One thread leads at a time, that of a caller
/// or the queue's, and is the only one in the private calls.
class Committer {
public:
  Committer(SharedState& state, OwnerCheck& owner, Checkpointer& checkpointer, AnchorKeeper& anchor,
            Completions& completions);

  /// Returns when it is durable.
  Status commit(const Transaction& transaction);
  void commit_async(Transaction transaction, Store::CommitCallback callback);
  /// What was deferred before is durable on return.
  Status flush();
  /// In a record of its own.
  Status change_directory(const CommitQueue::DirectoryChange& change);
  /// Nothing is installed while it runs.
  void read_in_turn(const CommitQueue::SlowRead& read);

  /// Waits until no request is waiting or under way.
  void drain() { queue_.drain(); }
  /// And all callbacks have run, and what they have asked for is done, too.
  void drain_with_callbacks();

private:
  using Waiting = std::span<CommitQueue::Request* const>;

  std::size_t lead_round(Waiting waiting);
  std::size_t carry_out_or_poison(Waiting waiting);
  std::size_t carry_out(Waiting waiting);
  void count_commits(Waiting answered);
  Status begin_round(const CommitQueue::Request& first);
  void carry_out_change(CommitQueue::Request& request);
  std::size_t carry_out_group(Waiting waiting);
  std::size_t add_to_stage(Waiting waiting);
  /// Takes what was deferred into the stage, which is empty. It comes before all that is added.
  Status stage_deferred();
  /// A record for what was deferred alone.
  Status write_deferred();

  SharedState& state_;
  Checkpointer& checkpointer_;
  Stage stage_; // Only who leads.
  RecordWriter record_writer_;
  Completions& completions_;
  CommitQueue queue_;
};

} // namespace vnvram
