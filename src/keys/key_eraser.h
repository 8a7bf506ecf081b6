// Makes an encrypted image unreadable for good.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Some copy of key slots is there, be it damaged or of whichever image.
Result<bool> has_key_slots(BlockDevice& device);

/// Overwrites both copies of the key slots with random bytes and then with zeros, each flushed, and
/// looks that nothing else is there. It can be cut off and done again. Errors: io.
Status overwrite_key_slots(BlockDevice& device);

} // namespace vnvram
