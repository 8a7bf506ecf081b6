// Which image the keys are of: what of a superblock the key slots depend on.
#pragma once

#include "base/uuid.h"
#include "format/key_slot.h"
#include "format/layout.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

struct KeyedImage {
  Uuid uuid = {};
  format::KeyId key_id = {}; ///< Of the data key that its superblock names.
};

/// The current superblock, whether the image is encrypted or not. Errors: blank, foreign, corrupt,
/// too_new, io.
Result<format::Superblock> read_current_superblock(BlockDevice& device);

/// Errors: as read_current_superblock(); invalid_argument for an image that is not encrypted.
Result<KeyedImage> read_keyed_image(BlockDevice& device);

/// An exchange of the data key is not half done. Errors: unsupported (it is), too_new, io.
Status check_no_exchange(BlockDevice& device);

} // namespace vnvram
