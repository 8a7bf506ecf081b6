// Where an owner writes.
#pragma once

#include <vector>

#include "device/byte_range.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// The image, and the room at the device's end that its third superblock is in: together, as it
/// was made, or apart if the device has grown.
std::vector<ByteRange> written_ranges(BlockDevice& device, const format::Superblock& superblock);

} // namespace vnvram
