// Whether an image in a Ceph cluster has an owner.
#pragma once

#include <chrono>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// Its lock is not asked for, which would take it from an owner that the cluster does not see any
/// more. Success: nobody has it, or who has it has died, as far as the cluster knows (after 30 s
/// where nothing else is set). Errors: in_use; unsupported (it has no lock); those of opening.
Status look_at_rbd_lock(const std::string& location, std::chrono::milliseconds timeout);

} // namespace vnvram
