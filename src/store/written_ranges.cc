#include "store/written_ranges.h"

#include "store/third_copy.h"

namespace vnvram {

std::vector<ByteRange> written_ranges(BlockDevice& device, const format::Superblock& superblock) {
  constexpr std::uint64_t room_bytes = format::third_copy_blocks_from_end * block_size_bytes;
  const std::uint64_t image_bytes = superblock.image_block_count * block_size_bytes;
  const Result<std::uint64_t> size = device.size_bytes();
  const auto third =
      third_copy_block(superblock.image_block_count, size ? *size / block_size_bytes : 0);
  if (!third) {
    return {{0, image_bytes}};
  }
  const std::uint64_t third_bytes = *third * block_size_bytes;
  return third_bytes == image_bytes
             ? std::vector<ByteRange>{{0, image_bytes + room_bytes}}
             : std::vector<ByteRange>{{0, image_bytes}, {third_bytes, room_bytes}};
}

} // namespace vnvram
