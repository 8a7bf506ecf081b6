// Who has an image, as text.
#pragma once

#include <string>

#include "vnvram/store.h"

namespace vnvram::cli {

/// "process 123 on host1 since 2026-11-29 03:05:14 UTC", or that nothing is known.
[[nodiscard]] std::string owner_text(const StoreInfo& info);

} // namespace vnvram::cli
