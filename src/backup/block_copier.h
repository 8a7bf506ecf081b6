// The blocks of an image on their way to another device.
#pragma once

#include <cstdint>
#include <optional>

#include "backup/block_copy.h"
#include "backup/paced_device.h"
#include "backup/superblock_look.h"
#include "base/aligned_buffer.h"

namespace vnvram {

/// One copy, onto a device that is locked and may be written over.
class BlockCopier {
public:
  /// All outlive it.
  BlockCopier(const BlockCopySource& source, const BlockCopyTarget& target, BlockDevice& device)
      : source_(source), from_(source.device, source.before_read), target_(target), device_(device),
        piece_(piece_size_bytes) {}

  /// Once. Errors: those of copy_blocks().
  Result<BlockCopyReport> run();

private:
  static constexpr std::size_t piece_size_bytes = std::size_t{1} << 20U;

  Status copy();
  Status prepare();
  Status check_source();
  Status look_over_source();
  Status read();
  /// To `to`, which stands for the device. False: it has changed meanwhile.
  Result<bool> read_once(BlockDevice& to, bool hurries);
  Result<bool> read_held();
  Status copy_header_area(BlockDevice& to);
  Status copy_range(BlockDevice& to, std::uint64_t from_block, std::uint64_t to_block,
                    bool hurries);
  void tell(bool hurries) const;
  Status wipe_ring(BlockDevice& to);
  Status check();
  Status check_all(BlockDevice& image);
  Status write_superblocks();
  Status write_each_superblock();
  [[nodiscard]] std::optional<std::uint64_t> third_block() const;

  const BlockCopySource& source_;
  PacedDevice from_; ///< The source's.
  const BlockCopyTarget& target_;
  BlockDevice& device_;
  AlignedBuffer piece_;
  SuperblockLook look_;
  BlockCopyReport report_;
  std::uint64_t device_block_count_ = 0;
  std::uint64_t done_bytes_ = 0;
};

} // namespace vnvram
