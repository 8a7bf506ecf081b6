// What this host is called.
#pragma once

#include <string>

namespace vnvram {

/// As hostname(1) says it, and as an image has it of its owner: its first 63 bytes. Empty if it has
/// none.
[[nodiscard]] std::string host_name();

} // namespace vnvram
