#include "store/third_copy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include <fmt/core.h>

#include "format/all_zero.h"

namespace vnvram {

using format::Superblock;
using format::SuperblockState;

namespace {

using Block = std::array<std::byte, block_size_bytes>;
constexpr std::size_t sector_size_bytes = 512;

Result<Block> read_block(BlockDevice& device, std::uint64_t block) {
  Block content{};
  const Status read = device.read(block * block_size_bytes, content);
  return read ? Result<Block>(content) : read.error();
}

Result<std::uint64_t> block_count_of(BlockDevice& device) {
  const Result<std::uint64_t> size = device.size_bytes();
  return size ? Result<std::uint64_t>(*size / block_size_bytes) : size;
}

struct Mark {
  std::size_t offset_bytes;
  std::string_view bytes;
  std::string_view what;
};
// For messages only. The first one that is there decides: a boot sector may hold anything.
constexpr std::array<Mark, 14> marks = {{
    {512, "EFI PART", "a GPT partition table"},
    {4096, "EFI PART", "a GPT partition table"},
    {1080, std::string_view("\x53\xef", 2), "an ext2, ext3 or ext4 file system"},
    {0, "XFSB", "an XFS file system"},
    {54, "FAT1", "a FAT file system"},
    {82, "FAT32", "a FAT file system"},
    {3, "NTFS", "an NTFS file system"},
    {3, "EXFAT", "an exFAT file system"},
    {512, "LABELONE", "an LVM label"},
    {0, "LUKS\xba\xbe", "a LUKS header"},
    {4086, "SWAPSPACE2", "swap space"},
    {0, "QFI\xfb", "a qcow2 header"},
    {4096, std::string_view("\xfc\x4e\x2b\xa9", 4), "a RAID superblock"},
    {510, std::string_view("\x55\xaa", 2), "a partition table or boot sector"},
}};

std::string what_lies_there(std::span<const std::byte> beginning) {
  if (format::all_zero(beginning)) {
    return "by zeros";
  }
  const auto found = std::find_if(marks.begin(), marks.end(), [&](const Mark& mark) {
    return std::memcmp(&beginning[mark.offset_bytes], mark.bytes.data(), mark.bytes.size()) == 0;
  });
  return found == marks.end() ? "" : fmt::format("by {}", found->what);
}

} // namespace

std::optional<std::uint64_t> third_copy_block(std::uint64_t image_block_count,
                                              std::uint64_t device_block_count) {
  return device_block_count >= image_block_count + format::third_copy_blocks_from_end
             ? std::optional(device_block_count - format::third_copy_blocks_from_end)
             : std::nullopt;
}

Result<std::optional<std::uint64_t>> find_room_for_third_copy(BlockDevice& device,
                                                              const Superblock& superblock) {
  const Result<std::uint64_t> block_count = block_count_of(device);
  if (!block_count) {
    return block_count.error();
  }
  const auto block = third_copy_block(superblock.image_block_count, *block_count);
  if (!block) {
    return block;
  }
  const Result<Block> there = read_block(device, *block);
  if (!there) {
    return there.error();
  }
  // Or the first one there ever was, torn: as early as in its magic.
  const auto sector = std::span(*there).first(sector_size_bytes);
  std::size_t same_bytes = 0;
  while (same_bytes < format::superblock_magic.size() &&
         std::memcmp(&sector[same_bytes], &format::superblock_magic[same_bytes], 1) == 0) {
    ++same_bytes;
  }
  const bool ours =
      same_bytes == format::superblock_magic.size() || format::all_zero(sector.subspan(same_bytes));
  return ours ? block : std::nullopt;
}

Result<format::CheckedSuperblock> look_at_third_copy(BlockDevice& device) {
  const Result<std::uint64_t> block_count = block_count_of(device);
  if (!block_count) {
    return block_count.error();
  }
  const auto block = third_copy_block(0, *block_count);
  if (!block) {
    return format::CheckedSuperblock();
  }
  const Result<Block> there = read_block(device, *block);
  if (!there) {
    return there.error();
  }
  auto checked = format::check_superblock(*there, format::third_copy);
  if (checked.state == SuperblockState::valid && checked.superblock.image_block_count > *block) {
    checked.state = SuperblockState::no_magic; // A page of the image that happens to hold one.
  }
  return checked;
}

Result<std::optional<Superblock>> read_third_copy(BlockDevice& device) {
  const Result<format::CheckedSuperblock> found = look_at_third_copy(device);
  if (!found) {
    return found.error();
  }
  return found->state == SuperblockState::valid ? std::optional(found->superblock) : std::nullopt;
}

Status write_third_copy(BlockDevice& device, std::uint64_t block, const format::Codec& codec,
                        Superblock superblock) {
  codec.finish(superblock, format::third_copy);
  return device.write(block * block_size_bytes, std::as_bytes(std::span(&superblock, 1)));
}

Status clear_old_third_copy(BlockDevice& device, const Superblock& superblock,
                            std::uint64_t block) {
  if (superblock.image_block_count >= block) {
    return {};
  }
  const Result<Block> there = read_block(device, superblock.image_block_count);
  if (!there) {
    return there.error();
  }
  const auto old = format::check_superblock(*there, format::third_copy);
  return old.state == SuperblockState::valid && old.superblock.uuid == superblock.uuid
             ? device.write(superblock.image_block_count * block_size_bytes, Block{})
             : Status{};
}

Error beginning_overwritten(BlockDevice& device, const Superblock& third) {
  std::array<std::byte, format::superblock_count * block_size_bytes> beginning{};
  const Status read = device.read(0, beginning);
  if (!read) {
    return read.error();
  }
  const std::string by = what_lies_there(beginning);
  // The end of a VM image may be the end of the image in it.
  const bool by_vm_image = by.find("qcow2") != std::string::npos;
  return {ErrorKind::corrupt,
          fmt::format("{}: holds a vNVRAM image of which the beginning was overwritten{}{}{}",
                      device.name(), by.empty() ? "" : " ", by,
                      by_vm_image ? ", or is a VM image that holds one and is taken for raw" : ""),
          fmt::format("{}{}", by_vm_image ? "open a VM image in its own format; else " : "",
                      third.clean != 0 ? "`repair` finds it again by its third superblock"
                                       : "it was in use then: `salvage` gets out what its third "
                                         "superblock leads to")};
}

} // namespace vnvram
