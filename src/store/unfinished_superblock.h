// Whether a superblock copy that is not whole is what an ordinary power cut leaves.
#pragma once

#include "format/codec.h"
#include "format/superblock.h"

namespace vnvram {

/// True if a write of `found`, which is not valid, can have been cut beside this current copy:
/// nothing has depended on it yet, and the next opening for writing makes it whole. False: it was
/// whole once, and rotted.
[[nodiscard]] bool may_be_unfinished(const format::Codec& codec, const format::Superblock& current,
                                     const format::Superblock& found);

} // namespace vnvram
