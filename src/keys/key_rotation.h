// Key slots while the data key is exchanged for another one.
#pragma once

#include <span>

#include "format/key_slot.h"
#include "keys/keyed_image.h"
#include "vnvram/block_device.h"
#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram {

/// What is done about slots that cannot be given the new data key, because nobody has given theirs.
enum class KeylessSlots {
  refuse,    ///< Nothing is changed.
  leave_out, ///< They open the image until the new data key is in use, and then no more.
};

/// Gives each slot a second wrap, of the new data key: a public key needs nothing for that, the
/// others one of `keys`, or of `at_hand`, of which none is read for it (KeyHolder::is_at_hand()).
/// From here on the image opens whichever of the two its superblock names. Slots `without` get
/// none. Returns the others that are left out. What an interrupted exchange has left behind is
/// taken away. Errors: key_needed, naming the slots (refuse; or all of them are left out); corrupt
/// for a slot that was not made by anybody who had the data key: it is to be removed first;
/// no_space, io, and what the sources say.
Result<format::KeySlots> wrap_new_data_key(BlockDevice& device, const KeyedImage& image,
                                           std::span<const std::byte> data_key,
                                           std::span<const std::byte> new_data_key,
                                           std::span<const KeySource> keys, KeylessSlots keyless,
                                           std::span<const KeySource> at_hand = {},
                                           std::span<const unsigned> without = {});

/// Takes away all wraps but those of the data key that `image` names, and slots that have none of
/// it. Writes nothing if there is nothing to take away. Errors: corrupt, if there would be none
/// left; io.
Status drop_other_wraps(BlockDevice& device, const KeyedImage& image);

} // namespace vnvram
