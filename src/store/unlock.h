// From a superblock to the codec of its image: with the key, if it is encrypted.
#pragma once

#include "format/codec.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// Errors: wrong_key for a plain image where there is a key. Of an encrypted one: key_needed,
/// wrong_key, io, unsupported; corrupt: its key slots are damaged, or a superblock is not of who
/// has its key.
Result<format::Codec> unlock(BlockDevice& device, const format::Superblock& superblock,
                             const KeyRing& keys);

} // namespace vnvram
