// Whether another host can have a device that was let go.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Of a device that was unlocked: success unless a reservation is left on it (see
/// FileDevice::given_back(), whose errors it has); also for devices that have none.
Status given_back(BlockDevice& device);

} // namespace vnvram
