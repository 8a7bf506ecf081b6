// A file that the user wants written: whole, or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>

#include "vnvram/result.h"

namespace vnvram::cli {

/// Writes the bytes beside the path and renames the result over it when it is durable, so that a
/// failure leaves what was there. A file that exists keeps its mode; unless it is said otherwise, a
/// new one can be read by its owner only, as the content may be a key. What is not a regular file
/// (a pipe, /dev/null) is written to directly. Errors: io.
Status write_output_file(const std::string& path, std::span<const std::byte> bytes,
                         mode_t new_file_mode = 0600);

} // namespace vnvram::cli
