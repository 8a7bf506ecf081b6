// Does to an image, of whatever content, what programs do to images.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "device/memory_device.h"
#include "fuzz/image_history.h"

namespace vnvram::fuzz {

/// A state that a store has shown.
struct SeenState {
  std::uint64_t generation = 0;
  Contents contents; ///< Of those blobs that could be read.
};
using OnState = std::function<void(const SeenState& state)>;

/// Whatever is damaged: what is read was once there, all of it at the same time. The history
/// outlives it.
OnState past_states_of(const ImageHistory& history);

/// Checks, dumps, opens, reads, writes, closes and opens again. Every one of these may fail, but
/// - an image that check_image finds nothing wrong with can be opened, and all of it read,
/// - what was acknowledged is read back, before and after the store was opened again.
/// `on_state` gets what is read before anything is written.
/// `history` is that of the image, and has its keys.
void exercise_image(const std::shared_ptr<MemoryDisk>& disk, const ImageHistory& history,
                    const OnState& on_state);

} // namespace vnvram::fuzz
