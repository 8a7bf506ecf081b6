// The blocks of an image on their way to another device.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "backup/block_copy.h"
#include "base/aligned_buffer.h"
#include "device/overlay_device.h"
#include "format/codec.h"
#include "format/superblock.h"

namespace vnvram {

/// What the superblocks said at one moment, as they lie there.
struct SuperblockLook {
  std::array<Block, 2> copies = {};
  std::optional<Block> third = {}; ///< One of the same image.
  format::Superblock current = {};

  /// The table that it leads to was not written over, and its log only grows.
  [[nodiscard]] bool is_as(const SuperblockLook& other) const { return copies == other.copies; }
};

/// Errors: those of find_superblock(); stale (it changed between two looks).
Result<SuperblockLook> look_at_superblocks(BlockDevice& device);

/// One copy, onto a device that is locked and may be written over.
class BlockCopier {
public:
  /// All outlive it.
  BlockCopier(const BlockCopySource& source, const BlockCopyTarget& target, BlockDevice& device)
      : source_(source), target_(target), device_(device), piece_(piece_size_bytes) {}

  /// Once. Errors: those of copy_blocks().
  Result<BlockCopyReport> run();

private:
  static constexpr std::size_t piece_size_bytes = std::size_t{1} << 20U;

  Status wipe_superblocks(const format::Superblock& superblock);
  /// False: it has changed meanwhile.
  Result<bool> read_once(bool hurries);
  Status copy_header_area();
  Status copy_range(std::uint64_t from_block, std::uint64_t to_block, bool hurries);
  Status wipe_ring();
  Status copy_records();
  Status check();
  Status write_superblocks();
  [[nodiscard]] format::Codec codec() const;
  [[nodiscard]] std::optional<std::uint64_t> third_block() const;

  const BlockCopySource& source_;
  const BlockCopyTarget& target_;
  BlockDevice& device_;
  AlignedBuffer piece_;
  SuperblockLook look_;
  std::uint64_t generation_ = 0;
  std::uint64_t device_block_count_ = 0;
  std::uint64_t done_bytes_ = 0;
  bool checked_ = false;
};

} // namespace vnvram
