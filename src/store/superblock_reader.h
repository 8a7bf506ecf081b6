// Which image is on a device: the first half of open's decision table.
#pragma once

#include <array>
#include <string>

#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Both copies as they are on the device. A device too small for one has it as "zero".
struct SuperblockPair {
  std::array<format::CheckedSuperblock, format::superblock_count> copies;
  /// The valid copy with the higher sequence; only if there is one.
  [[nodiscard]] const format::Superblock* current() const;
  /// Why the one that is not current cannot be beside it, though both are valid; nullptr if it can.
  [[nodiscard]] const char* contradiction() const;
};
/// In a few words, for messages.
[[nodiscard]] const char* describe_copy(const format::CheckedSuperblock& copy);
Result<SuperblockPair> read_superblocks(BlockDevice& device);

/// corrupt: the device ends before the image does.
[[nodiscard]] Error cut_off(const std::string& name, const format::Superblock& superblock,
                            std::uint64_t device_size_bytes);

/// corrupt for an image whose counters leave no room for an owner: it can only be read.
/// `generation` is that of the newest record.
Status check_counters(const std::string& name, const format::Superblock& superblock,
                      std::uint64_t generation);

/// The current superblock, or the open result that the device deserves: blank, foreign, corrupt,
/// too_new, io. It also refuses an image that is longer than its device.
Result<format::Superblock> find_superblock(BlockDevice& device);
/// As find_superblock(), for who makes do with what there is of an image.
Result<format::Superblock> find_superblock_of_any_length(BlockDevice& device);

/// True if everything is zero where an image would begin (the first MiB) and at the device's end,
/// where other systems keep second copies.
Result<bool> is_blank(BlockDevice& device);

} // namespace vnvram
