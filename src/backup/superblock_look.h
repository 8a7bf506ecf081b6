// What the superblocks of an image say, beside an owner that may write them.
#pragma once

#include <array>
#include <optional>

#include "device/overlay_device.h"
#include "format/codec.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// What the superblocks said at one moment, as they lie there.
struct SuperblockLook {
  std::array<Block, 2> copies = {};
  std::optional<Block> third = {}; ///< One of the same image.
  format::Superblock current = {};

  /// The table that it leads to was not written over, and its log only grows.
  [[nodiscard]] bool is_as(const SuperblockLook& other) const { return copies == other.copies; }
  /// The other one, if it is whole: what an opener goes by when the current one is lost.
  [[nodiscard]] std::optional<format::Superblock> fallback() const;
};

/// Errors: those of find_superblock(); stale (it changed between two looks).
Result<SuperblockLook> look_at_superblocks(BlockDevice& device);

/// Who has no key sees which records there are, and not what is in them.
[[nodiscard]] format::Codec keyless_codec(const format::Superblock& superblock);

Result<Block> read_block(BlockDevice& device, std::uint64_t block);

/// stale, for who has looked often enough.
[[nodiscard]] Error too_fast(BlockDevice& device);

} // namespace vnvram
