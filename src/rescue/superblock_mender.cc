#include "rescue/superblock_mender.h"

#include <span>

#include "rescue/bit_flip.h"

namespace vnvram {

format::CheckedSuperblock mend_superblock(Block& block, unsigned copy) {
  const auto check = [&] { return format::check_superblock(block, copy); };
  const auto is_valid = [&] { return check().state == format::SuperblockState::valid; };
  const format::CheckedSuperblock found = check();
  if (found.state == format::SuperblockState::valid ||
      found.state == format::SuperblockState::zero) {
    return found;
  }
  return unflip_bit(std::span(block), is_valid) ? check() : found;
}

} // namespace vnvram
