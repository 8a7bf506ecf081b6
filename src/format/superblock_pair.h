// The two superblocks of a device, as they are there.
#pragma once

#include <array>

#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram::format {

/// A device too small for a copy has it as "zero".
struct SuperblockPair {
  std::array<CheckedSuperblock, superblock_count> copies;
  /// The valid copy with the higher sequence; only if there is one.
  [[nodiscard]] const Superblock* current() const;
  /// Why the one that is not current cannot be beside it, though both are valid; nullptr if it can.
  [[nodiscard]] const char* contradiction() const;
};
/// Errors: io.
Result<SuperblockPair> read_superblocks(BlockDevice& device);

/// True if everything is zero where an image would begin (the first MiB) and at the device's end,
/// where other systems keep second copies. Errors: io.
Result<bool> is_blank(BlockDevice& device);

} // namespace vnvram::format
