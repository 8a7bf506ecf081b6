// What to do about an image that has no space of its own for all that will be written into it.
#pragma once

#include <functional>
#include <string_view>

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

/// An image that was copied with holes, snapshotted or shared lacks space: a commit could fail for
/// it, and after that all of them until the image is opened again.
enum class SpacePolicy {
  reserve, ///< Allocate what is missing, or do not open: no_space, unsupported.
  warn,    ///< Allocate what is missing; if that fails say so, and go on.
  ignore,  ///< Do not look.
};

/// "reserve", "warn" or "ignore". Error: invalid_argument.
VNVRAM_API Result<SpacePolicy> parse_space_policy(std::string_view text);

/// For a device of open_device(), before a store is opened on it: what opening that for writing
/// does about space that is missing, once the image was found to be ours. Without this call it is
/// SpacePolicy::reserve. Files and VM images are looked at; a block device and an NBD export have
/// the space that their owner gives them, and nothing is done. `warned` gets what
/// SpacePolicy::warn has to say, inside Store::open.
VNVRAM_API void set_space_policy(BlockDevice& device, SpacePolicy policy,
                                 std::function<void(const Error&)> warned = {});

} // namespace vnvram
