// vnvram_open_options, checked.
#pragma once

#include "vnvram/result.h"
#include "vnvram/store.h"
#include "vnvram/vnvram.h"

namespace vnvram::capi {

/// NULL: all defaults.
Result<OpenOptions> take_open_options(const vnvram_open_options* options);

} // namespace vnvram::capi
