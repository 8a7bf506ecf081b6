// The content of a file that the user names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vnvram/result.h"

namespace vnvram::cli {

/// All bytes of a file, or of standard input for "-". Errors: io (nothing is returned of a file
/// that is not there or could be read only in part), too_large for more than size_max_bytes.
Result<std::vector<std::byte>> read_input(const std::string& path, std::uint64_t size_max_bytes);

} // namespace vnvram::cli
