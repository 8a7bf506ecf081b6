// Whether what is found at the place to which an image was moved is that image.
#pragma once

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// `from`: where it was, and is sealed; `to`: where its mark says that it is. Both are only read.
/// A name can lead an owner elsewhere than the one who made the copy: to another mount, another
/// cluster, or to what has taken its place since. Errors: foreign (another image), stale (an older
/// one, which nobody has sealed for this move nor opened since), those of find_superblock().
Status check_it_went_there(BlockDevice& from, BlockDevice& to);

} // namespace vnvram
