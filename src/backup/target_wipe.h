// Takes what a device holds away, before an image is copied to it, and notices that it is the image
// itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backup/superblock_look.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

class TargetWipe {
public:
  /// All outlive it. `look`: of the source, a moment ago.
  TargetWipe(BlockDevice& source, BlockDevice& target, const SuperblockLook& look)
      : source_(source), target_(target), look_(look) {}

  /// Where there was an image there is none, durably, and nothing of it is left behind the
  /// source's. By how they are named nobody can tell that two devices are one (a loop device, an
  /// export): one block is wiped, the source is looked at, and what it was is put back if it is
  /// gone there. `is_blank`: nothing was there. Errors: invalid_argument (they are the same
  /// storage, and nothing has changed); io.
  Status run(bool is_blank);
  /// The same question, of a target that somebody else replaces: what was wiped is put back in any
  /// case.
  Status look_only();

private:
  Status wipe_one_and_look(unsigned copy, bool is_kept);
  Status put_back(unsigned copy, const Block& content);
  Status wipe_third(bool is_ours);
  Status write_zeros(std::uint64_t block, std::uint64_t block_count);
  Result<std::uint64_t> old_end();

  BlockDevice& source_;
  BlockDevice& target_;
  const SuperblockLook& look_;
  std::uint64_t block_count_ = 0; ///< Of the target.
};

} // namespace vnvram
