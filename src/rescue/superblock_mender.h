// A superblock in which one bit rotted.
#pragma once

#include "device/overlay_device.h"
#include "format/superblock.h"

namespace vnvram {

/// What the block is as that copy; one that is not valid, and is once a single bit is flipped, is
/// left with that bit flipped.
[[nodiscard]] format::CheckedSuperblock mend_superblock(Block& block, unsigned copy);

} // namespace vnvram
