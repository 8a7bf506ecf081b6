// Whether the third superblock tells of the newest state there was.
#pragma once

#include <optional>
#include <string>

#include "format/codec.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// Why it may not, when both others are lost; nullopt: it does. Every owner writes it before the
/// first commit of its epoch and at a clean end. One that says "clean" is therefore the newest,
/// unless a newer owner kept another one while the device was longer or shorter: then the ring
/// holds a record of that owner's epoch.
std::optional<std::string> doubt_third_copy(BlockDevice& device, const format::Superblock& third,
                                            const format::Codec& codec);

} // namespace vnvram
