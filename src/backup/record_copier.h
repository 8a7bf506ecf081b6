// The log of an image on its way to another device.
#pragma once

#include <cstdint>

#include "backup/superblock_look.h"
#include "store/ring_scanner.h"

namespace vnvram {

/// Copies the records that an opener could need: those behind the checkpoint of the current
/// superblock, and those that lead there from the other one. By these an image whose current
/// superblock is lost is the newest one still, or is refused.
class RecordCopier {
public:
  /// All outlive it. What `look` shows is current as long as it works; its caller finds out.
  RecordCopier(BlockDevice& source, BlockDevice& target, const SuperblockLook& look)
      : source_(source), target_(target), look_(look) {}

  /// Returns the generation of the newest record. The target's ring has nothing in it. Errors:
  /// corrupt (the log is damaged in the middle); stale (its owner goes on); io.
  Result<std::uint64_t> copy();
  /// The same, and nothing is written.
  Result<std::uint64_t> look_over();

private:
  Result<std::uint64_t> scan_current(const RingScanner::OnRecord& on_record);
  Status copy_what_the_fallback_needs();
  Status copy_blocks_of(std::uint32_t position, std::uint32_t block_count);
  Status copy_old(const format::Superblock& fallback, const format::RecordHeader& header,
                  std::uint32_t position);

  BlockDevice& source_;
  BlockDevice& target_;
  const SuperblockLook& look_;
};

} // namespace vnvram
