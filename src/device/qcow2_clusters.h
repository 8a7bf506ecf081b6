// Which parts of a qcow2 image have no cluster of their own: a write there allocates.
#pragma once

#include <vector>

#include "device/byte_range.h"
#include "device/qemu_file.h"
#include "vnvram/result.h"

namespace vnvram {

/// Of a part of what the guest sees, those ranges whose clusters are not allocated (a sparse
/// copy, an overlay's), are shared with a snapshot, or are compressed. QEMU marks in the image's
/// tables which clusters may be overwritten where they are. The file is only read, and may be open
/// in QEMU if nothing is written to it meanwhile.
/// Errors: io; unsupported for tables that are no qcow2's.
Result<std::vector<ByteRange>> find_borrowed_clusters(const QemuFile& file, const ByteRange& part);

} // namespace vnvram
