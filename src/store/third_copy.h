// The superblock's third copy, far from the device's beginning, where partition tables, boot
// sectors and labels go. An image is found again by it when both others are overwritten; while one
// of them is whole it says nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "format/codec.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Its block on a device of so many blocks; nullopt if that would belong to the image.
[[nodiscard]] std::optional<std::uint64_t> third_copy_block(std::uint64_t image_block_count,
                                                            std::uint64_t device_block_count);

/// The same for an owner: nullopt, too, if the block holds something that is not ours. Errors: io.
Result<std::optional<std::uint64_t>> find_room_for_third_copy(BlockDevice& device,
                                                              const format::Superblock& superblock);

/// What the device holds where a third copy would be. Errors: io.
Result<format::CheckedSuperblock> look_at_third_copy(BlockDevice& device);
/// The third copy, if there is one and it is whole. Errors: io.
Result<std::optional<format::Superblock>> read_third_copy(BlockDevice& device);

/// Not flushed. `superblock` is what the others will say, or say.
Status write_third_copy(BlockDevice& device, std::uint64_t block, const format::Codec& codec,
                        format::Superblock superblock);

/// Where the device was shorter there may be an older one, directly behind the image: takes it away
/// before it can be the last one again. Not flushed.
Status clear_old_third_copy(BlockDevice& device, const format::Superblock& superblock,
                            std::uint64_t block);

/// What an opener says of an image that only its third copy tells of: corrupt; io.
[[nodiscard]] Error beginning_overwritten(BlockDevice& device, const format::Superblock& third);

} // namespace vnvram
