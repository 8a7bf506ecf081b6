// Taking an image over from an owner that is gone, or that nobody hears of any more.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// What the operator says of the owner.
enum class OwnerWord {
  nothing,
  is_dead, ///< It has ended, or its host has no power: where no storage can shut it out.
};

/// For a device that was opened for writing, before a store is opened on it. Who has the image may
/// do nothing with it any more when this returns: it is shut out by the storage
/// (BlockDevice::shut_out_owner()), and none of its writes land, or somebody vouches for its death.
/// An image that nobody has in use is taken as it is. What comes next, Store::open(), takes the
/// lock, begins an epoch and recovers: an owner that was shut out finds both when it comes back to
/// life, and commits nothing.
///
/// A lock that is held on a device that cannot shut anybody out (a file) is no matter of words: its
/// holder lives, as the kernel knows, and Store::open() refuses with in_use.
///
/// Nobody is shut out for what could not be opened then: an image that is none, or damaged, or does
/// not open with `keys`. Of one that is sealed, whose state goes on elsewhere, the storage shuts
/// the owner out, if it can, and the seal stays: the error is sealed, and what it names, unsealing,
/// is then possible from here, also where a dead host had the device reserved. Errors: in_use
/// (nothing shuts the owner out, and nobody says that it is dead), sealed, those of Store::open()
/// and of BlockDevice::shut_out_owner().
VNVRAM_API Status take_over(BlockDevice& device, OwnerWord word, const KeyRing& keys);

} // namespace vnvram
