// The superblocks of a damaged image: which can be gone by.
#pragma once

#include <array>
#include <vector>

#include "device/overlay_device.h"
#include "format/superblock.h"
#include "vnvram/rescue.h"

namespace vnvram {

struct Roots {
  /// Valid ones, mended ones with them, the newest first. Never empty.
  std::vector<format::Superblock> superblocks;
  /// Copies that had to be mended, by their number.
  std::vector<std::pair<unsigned, Block>> mended;
  /// Copies that are lost.
  std::vector<unsigned> lost;
};

/// Errors: blank, foreign, too_new, key_needed, io; corrupt if there is none.
Result<Roots> find_roots(BlockDevice& device);

} // namespace vnvram
