// The superblocks that an image would have if it was sealed: for a copy of it that is to be sealed
// from its first moment on.
#pragma once

#include <array>

#include "device/overlay_device.h"
#include "vnvram/hand_over.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// In the order of their numbers: A, B, and the third copy. They say the same; B or A counts,
/// whichever counts now.
using SealedSuperblocks = std::array<Block, 3>;

/// Writes nothing. Nobody writes to the image meanwhile, nor until they are used. Errors: those of
/// opening it; sealed (it is already).
Result<SealedSuperblocks> sealed_superblocks(BlockDevice& device, const HandOverNumber& hand_over,
                                             const KeyRing& keys);

} // namespace vnvram
