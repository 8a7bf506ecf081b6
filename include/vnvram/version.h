// The library's version. The image format has its own (docs/format.md).
#pragma once

#include <string_view>

#include "vnvram/export.h"

namespace vnvram {

/// E.g. "0.1.0".
[[nodiscard]] VNVRAM_API std::string_view version();

} // namespace vnvram
