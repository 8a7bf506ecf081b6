// What a repair may call sound: what check calls whole, and every opener opens.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/key_ring.h"
#include "vnvram/rescue.h"

namespace vnvram {

/// Sets `sound` by what check_image() says of the image as it is after the repair, with a finding
/// for each problem that the report does not tell of already. Errors: io, stale.
Status judge(BlockDevice& repaired, RepairReport& report, const KeyRing& keys);

} // namespace vnvram
