// Does to an image's key slots and public metadata what programs do to them.
#pragma once

#include <memory>

#include "device/memory_device.h"
#include "fuzz/image_history.h"

namespace vnvram::fuzz {

/// Lists, tries a key, notes something, adds a slot, exchanges it and takes it away. Each may be
/// refused, and then nothing has changed; what was done is there, and the rest as it was.
void exercise_header(const std::shared_ptr<MemoryDisk>& disk, const ImageHistory& history);

} // namespace vnvram::fuzz
