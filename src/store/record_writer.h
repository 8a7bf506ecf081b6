// Makes what is staged durable, as one record, and then has readers see it.
#pragma once

#include <cstdint>
#include <span>

#include "store/anchor_keeper.h"
#include "store/checkpointer.h"
#include "store/owner_check.h"
#include "store/shared_state.h"
#include "store/stage.h"

namespace vnvram {

/// Threads: only the one that leads a commit.
class RecordWriter {
public:
  RecordWriter(SharedState& state, OwnerCheck& owner, Checkpointer& checkpointer,
               AnchorKeeper& anchor, Stage& stage)
      : state_(state), owner_(owner), checkpointer_(checkpointer), anchor_(anchor), stage_(stage) {}

  /// `changed_directory` takes the directory's place if the record changes it. An error that has
  /// not poisoned the store: nothing was written, and what is staged is to be thrown away.
  Status write(Directory* changed_directory = nullptr);
  /// In its place, if what was asked for changes nothing: it is as well an answer that the image
  /// has it. An error has poisoned the store.
  Status write_nothing();

private:
  Result<RingPlace> wait_for_room(std::uint32_t block_count);
  Status look_before(std::uint32_t block_count);
  void install(const RingPlace& place, std::uint64_t checksum, Directory* changed_directory);
  void install_changes(const RingPlace& place, std::uint64_t checksum,
                       Directory* changed_directory) noexcept; // Needs the mutex.

  SharedState& state_;
  OwnerCheck& owner_;
  Checkpointer& checkpointer_;
  AnchorKeeper& anchor_;
  Stage& stage_;
  std::uint64_t blocks_since_opening_ = 0; // Of the ring.
};

} // namespace vnvram
