// The content of a file that the user names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vnvram/result.h"

namespace vnvram::cli {

/// The first bytes of a file, or of standard input for "-": all of them, or size_max_bytes of one
/// that has more. Errors: io (nothing is returned of a file that is not there or could be read only
/// in part).
Result<std::vector<std::byte>> read_at_most(const std::string& path, std::uint64_t size_max_bytes);

/// How messages call it.
std::string input_name(const std::string& path);

/// All bytes of a file, or of standard input for "-". Errors: io (nothing is returned of a file
/// that is not there or could be read only in part), too_large for more than size_max_bytes.
Result<std::vector<std::byte>> read_input(const std::string& path, std::uint64_t size_max_bytes);

} // namespace vnvram::cli
