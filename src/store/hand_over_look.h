// Whose an image is to go on with: the look at its seal that every opening for writing begins with.
#pragma once

#include <string>

#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// Whether an owner with these options may open the image whose current superblock this is. Errors:
/// sealed, and those of OpenOptions::go_on.
Status check_whose_it_is(const std::string& name, const format::Superblock& superblock,
                         const OpenOptions& options);

/// The same of what is on the device now. Errors: those of find_superblock(), too.
Status look_whose_it_is(BlockDevice& device, const OpenOptions& options);

} // namespace vnvram
