// Formatting (invariant 6): create_image and resize_image of vnvram/store.h, and the question
// before it.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Success for a blank device; exists for one that holds an image or anything else. Writes nothing.
Status check_creatable(BlockDevice& device);

} // namespace vnvram
