// A file that a copy is to take the name of.
#pragma once

#include "backup/block_copy.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// A file is not written over: another one gets its name. If the source is what lies in it, by
/// another road (a loop device, an export), whoever serves it, and a machine that runs maybe, would
/// go on with a file that has no name. Success also where there is no file. It is as it was.
/// Errors: invalid_argument (they are the same storage); in_use, stale, io.
Status check_replaced_file(BlockDevice& source, const BlockCopyTarget& target);

} // namespace vnvram
