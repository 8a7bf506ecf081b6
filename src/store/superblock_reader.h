// Which image is on a device: the first half of open's decision table.
#pragma once

#include <string>

#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// In a few words, for messages.
[[nodiscard]] const char* describe_copy(const format::CheckedSuperblock& copy);

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

} // namespace vnvram
