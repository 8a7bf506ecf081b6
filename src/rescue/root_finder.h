// The superblocks of a damaged image: which can be gone by.
#pragma once

#include <algorithm>
#include <utility>
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

  /// Both copies are lost, and the root is the third one.
  bool by_third_copy = false;

  /// One of them says that what the image holds was handed over.
  [[nodiscard]] bool sealed() const {
    return std::any_of(superblocks.begin(), superblocks.end(), [](const auto& superblock) {
      return (superblock.features_must_know & format::feature_sealed) != 0;
    });
  }
  /// The newest copy had to be mended, and the other one is whole without that.
  [[nodiscard]] bool newest_was_mended() const {
    return superblocks.size() == 2 && mended.size() == 1 &&
           mended.front().first == superblocks.front().copy;
  }
  /// Both copies are valid, and cannot be of one image.
  [[nodiscard]] bool contradictory() const {
    return superblocks.size() == 2 &&
           format::contradiction(superblocks[0], superblocks[1]) != nullptr;
  }
};

/// Errors: blank, foreign, too_new, key_needed, io; corrupt if there is none.
Result<Roots> find_roots(BlockDevice& device);

} // namespace vnvram
