// Which parts of a qcow2 image have no cluster of their own: a write there allocates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

struct GuestRange {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
};

/// Of the first length_bytes that the guest sees, those whose clusters are not allocated (a sparse
/// copy, an overlay's), are shared with a snapshot, or are compressed. QEMU marks in the image's
/// tables which clusters may be overwritten where they are. The file is only read, and may be open
/// in QEMU if nothing is written to it meanwhile.
/// Errors: io; unsupported for tables that are no qcow2's.
Result<std::vector<GuestRange>> find_borrowed_clusters(const std::string& path,
                                                       std::uint64_t length_bytes);

} // namespace vnvram
