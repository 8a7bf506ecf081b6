// A full export and the increments behind it, put together again.
#pragma once

#include <span>
#include <string>

#include "backup/export_writer.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"

namespace vnvram {

/// Makes at the target what a full export of the last one's generation would have been: the same
/// blobs with the same contents. Each part is read once, in the order given, and every byte is
/// compared with what its export says of it. Errors: invalid_argument (a part is no export, the
/// first is an increment, a gap, the wrong order, another image's), corrupt (a part is damaged, or
/// is not what it was when it was made), those of open_device(), Store::open() and
/// create_image_file(). What was at the target is there then.
Result<ExportReport> import_chain(std::span<const std::string> parts, const DeviceOptions& device,
                                  const KeyRing& keys, const ExportTarget& target);

} // namespace vnvram
