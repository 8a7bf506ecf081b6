// Sizes as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram {

/// "4096", "64K", "4M", "1G"; K, M and G are powers of 1024. Errors: invalid_argument.
Result<std::uint64_t> parse_size(std::string_view text);

/// The shortest exact form: "64 KiB", "4 MiB", "4097 bytes".
std::string format_size(std::uint64_t size_bytes);

/// What is said of an image that has grown by itself (OpenOptions::grown).
std::string growth_text(std::uint64_t from_bytes, std::uint64_t to_bytes);

} // namespace vnvram
