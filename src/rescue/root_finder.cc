#include "rescue/root_finder.h"

#include <algorithm>
#include <cstring>

#include "rescue/superblock_mender.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {

namespace {

// One copy: valid, or valid once a single bit is flipped.
void look_at(BlockDevice& device, unsigned copy, Roots& roots) {
  Block block;
  if (!device.read(format::Geometry::superblock_block(copy) * block_size_bytes, block)) {
    roots.lost.push_back(copy);
    return;
  }
  const Block there = block;
  const format::CheckedSuperblock found = mend_superblock(block, copy);
  if (block != there) {
    roots.mended.emplace_back(copy, block);
  }
  if (found.state == format::SuperblockState::valid) {
    roots.superblocks.push_back(found.superblock);
  } else {
    roots.lost.push_back(copy);
  }
}

} // namespace

Result<Roots> find_roots(BlockDevice& device) {
  const Result<format::Superblock> opened = find_superblock_of_any_length(device);
  // A device that cannot read one copy may still have the other.
  if (!opened && opened.error().kind() != ErrorKind::corrupt &&
      opened.error().kind() != ErrorKind::io) {
    return opened.error();
  }
  Roots roots;
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    look_at(device, copy, roots);
  }
  if (roots.superblocks.empty()) {
    const auto third = read_third_copy(device);
    if (third && *third) {
      roots.superblocks.push_back(**third);
      roots.by_third_copy = true;
    }
  }
  if (roots.superblocks.empty()) {
    return opened ? Error{ErrorKind::stale, device.name() + ": it changed while it was read"}
                  : opened.error();
  }
  std::sort(roots.superblocks.begin(), roots.superblocks.end(),
            [](const auto& a, const auto& b) { return a.sequence > b.sequence; });
  return roots;
}

} // namespace vnvram
