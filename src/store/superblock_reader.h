// Which image is on a device: the first half of open's decision table.
#pragma once

#include <array>

#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Both copies as they are on the device. A device too small for one has it as "zero".
struct SuperblockPair {
  std::array<format::CheckedSuperblock, format::superblock_count> copies;
  /// The valid copy with the higher sequence; only if there is one.
  [[nodiscard]] const format::Superblock* current() const;
};
Result<SuperblockPair> read_superblocks(BlockDevice& device);

/// The current superblock, or the open result that the device deserves: blank, foreign, corrupt,
/// key_needed, too_new, io. It also refuses an image that is longer than its device.
Result<format::Superblock> find_superblock(BlockDevice& device);

/// True if everything is zero where an image would begin (the first MiB) and at the device's end,
/// where other systems keep second copies.
Result<bool> is_blank(BlockDevice& device);

} // namespace vnvram
