// One host at a time on a device that several hosts see.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

/// For a host block device of open_device() that was opened for writing, before a store is opened
/// on it, and after take_over(), which would reserve it to look at its lock. From here on
/// lock_for_writing() reserves it as well, by a persistent reservation (SCSI, NVMe) of the whole
/// device: until unlock() its storage takes writes from this host alone, whatever stalls, and every
/// host may read. It fails then with in_use if another host has reserved it, or something that is
/// not vNVRAM; with unsupported where the device has no reservations, or this process no right to
/// them. What a process that was killed has left behind is its host's next one's; another host
/// takes it by take_over(). Error: invalid_argument (no such device).
VNVRAM_API Status reserve_when_locked(BlockDevice& device);

} // namespace vnvram
