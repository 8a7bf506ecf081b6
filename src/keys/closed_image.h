// Whether an image may be written to without a word, as far as its last owner is concerned.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// For who writes to an image without opening it, under its lock. Errors: in_use (an owner on
/// another host has not closed it, and no lock says that it has ended). One without a whole
/// superblock is nobody's, and of one that is sealed the seal tells more.
[[nodiscard]] Status check_closed(BlockDevice& device);

} // namespace vnvram
