// The content of a file that the user names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "content/content_check.h"
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

/// What a file, or standard input, holds for a blob of this type and largest size, checked (see
/// check_content); with `force` what the check refuses is taken as it is. What was cut off is said
/// on standard error. Errors: those of
/// read_input() and check_content().
Result<CheckedContent> read_content(const std::string& path, std::string_view type,
                                    std::uint64_t size_max_bytes, bool force);

/// Something that the user should know, on standard error. Nothing if it is empty.
void show_note(const std::string& note);

} // namespace vnvram::cli
