// Writes the superblocks of an image that is open: the two in turn, and the third copy.
#pragma once

#include <cstdint>
#include <optional>

#include "format/superblock.h"
#include "store/owner_check.h"
#include "store/shared_state.h"

namespace vnvram {

/// Threads: one at a time, and the only one that changes the shared state's superblock: the one
/// that runs a checkpoint, or opens, grows or closes the store.
class SuperblockWriter {
public:
  SuperblockWriter(SharedState& state, OwnerCheck& owner) : state_(state), owner_(owner) {}

  /// Makes this the current superblock: it goes to the other copy, durably.
  Status write(const format::Superblock& superblock);

  /// Of an image in the making: nothing points to what is written, as superblocks stay in memory.
  void keep_in_memory();
  /// Superblocks go to the device from now on. True if they have not until now.
  bool write_from_now_on();

  /// Where this owner keeps the third copy of such an image up to date, if anywhere: an owner
  /// without one goes on, as nothing depends on it.
  void find_third_copy(const format::Superblock& superblock);
  /// That place.
  [[nodiscard]] std::optional<std::uint64_t> third_copy_block() const { return third_copy_block_; }
  /// The third copy of what the others will say, or say. Not flushed.
  Status update_third_copy(const format::Superblock& superblock);

private:
  SharedState& state_;
  OwnerCheck& owner_;
  bool keeps_in_memory_ = false;
  std::optional<std::uint64_t> third_copy_block_;
};

} // namespace vnvram
