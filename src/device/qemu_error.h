// What QEMU's programs say when they fail, in our words.
#pragma once

#include <string>
#include <string_view>

#include "vnvram/open_device.h"

namespace vnvram {

/// From what `program` said on its standard error about the image `name` before it ended. Errors:
/// in_use, wrong_key, invalid_argument (a key that can be none), no_space; else io, with its first
/// line.
Error qemu_error(std::string_view program, const std::string& name, Access access,
                 const std::string& said);

/// Whether the same again is likely to succeed. QEMU before 9.2.1 chooses how often LUKS's key is
/// derived by its own processor time, which on some hosts stands still for a moment: "Unable to get
/// accurate CPU usage".
bool failed_by_chance(const Error& error);

} // namespace vnvram
