#include "backup/superblock_look.h"

#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {
namespace {

constexpr int superblock_looks_max = 50;

} // namespace

std::optional<format::Superblock> SuperblockLook::fallback() const {
  const unsigned other = 1 - current.copy;
  const format::CheckedSuperblock found = format::check_superblock(copies.at(other), other);
  return found.state == format::SuperblockState::valid ? std::optional(found.superblock)
                                                       : std::nullopt;
}

Result<Block> read_block(BlockDevice& device, std::uint64_t block) {
  Block content{};
  const Status read = device.read(block * block_size_bytes, content);
  return read ? Result<Block>(content) : read.error();
}

Error too_fast(BlockDevice& device) {
  return {ErrorKind::stale, device.name() + ": its owner is faster than it can be copied",
          "copy it by its owner's control socket, which can hold changes"};
}

format::Codec keyless_codec(const format::Superblock& superblock) {
  return format::is_encrypted(superblock) ? format::Codec::of_frames(superblock)
                                          : format::Codec(superblock);
}

Result<SuperblockLook> look_at_superblocks(BlockDevice& device) {
  for (int looks = 0; looks < superblock_looks_max; ++looks) {
    SuperblockLook look;
    const Result<format::Superblock> before = find_superblock(device);
    if (!before) {
      return before.error();
    }
    for (unsigned copy = 0; copy < look.copies.size(); ++copy) {
      const Result<Block> block = read_block(device, copy);
      if (!block) {
        return block.error();
      }
      look.copies.at(copy) = *block;
    }
    const format::CheckedSuperblock same =
        format::check_superblock(look.copies.at(before->copy), before->copy);
    if (same.state != format::SuperblockState::valid ||
        same.superblock.sequence != before->sequence) {
      continue; // Its owner has written another one in between.
    }
    look.current = *before;
    const Result<std::uint64_t> size = device.size_bytes();
    const auto third =
        size ? third_copy_block(before->image_block_count, *size / block_size_bytes) : std::nullopt;
    const Result<Block> block = third ? read_block(device, *third) : Result<Block>(Block{});
    if (!size || !block) {
      return size ? block.error() : size.error();
    }
    const format::CheckedSuperblock found = format::check_superblock(*block, 2);
    if (third && found.state == format::SuperblockState::valid &&
        format::same_store(found.superblock, *before)) {
      look.third = *block;
    }
    return look;
  }
  return too_fast(device);
}

} // namespace vnvram
