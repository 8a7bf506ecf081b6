// What the blocks of an encrypted image begin with: so that nobody sees what was ever written.
#pragma once

#include <cstdint>
#include <functional>

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// From one block up to, and without, the other. Not flushed. `before_each_step`: asked before some
/// of them are written; its error ends it.
Status fill_with_random(BlockDevice& device, std::uint64_t from_block, std::uint64_t to_block,
                        const std::function<Status()>& before_each_step = {});

} // namespace vnvram
