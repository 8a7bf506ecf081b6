// Brings an image's newest generation into memory, and makes it an owner's own.
#pragma once

#include "store/anchor_keeper.h"
#include "store/checkpointer.h"
#include "store/owner_check.h"
#include "store/ring_scanner.h"
#include "store/shared_state.h"
#include "store/superblock_writer.h"

namespace vnvram {

/// Threads: only the one that opens the store, before anybody else has it.
class Recovery {
public:
  Recovery(SharedState& state, OwnerCheck& owner, SuperblockWriter& superblocks,
           Checkpointer& checkpointer, AnchorKeeper& anchor, bool claims)
      : state_(state), owner_(owner), superblocks_(superblocks), checkpointer_(checkpointer),
        anchor_(anchor), claims_(claims) {}

  /// Replays the ring and loads the directory. An opener for writing may checkpoint on the way; one
  /// that claims what it opens does so before it writes anything else.
  Status recover();
  /// Behind recover(), where an owner that has not closed the image may live. True: what was
  /// recovered is all, and that owner commits nothing any more, by the first thing that it looks
  /// at. False: it has gone on meanwhile, and is to be recovered once more. Nothing but the claim
  /// was written: who opens the image finds all of it. Errors: in_use (somebody else has opened it
  /// or is about to, or its owner has written a superblock), and those of writes.
  Result<bool> settle();
  /// From now on records of earlier owners count no more.
  Status begin_epoch();

private:
  Status claim();
  Result<RingScanner::Next> look_behind();

  SharedState& state_;
  OwnerCheck& owner_;
  SuperblockWriter& superblocks_;
  Checkpointer& checkpointer_;
  AnchorKeeper& anchor_;
  const bool claims_;
  bool is_claimed_ = false;
  Clock::Duration claiming_took_{};
};

} // namespace vnvram
