// Public metadata as it is in the header area.
#pragma once

#include <optional>
#include <string_view>

#include "format/header_copy.h"
#include "vnvram/public_metadata.h"

namespace vnvram::format {

/// Errors: invalid_argument (the name), too_large (the value).
Status check_public_entry(std::string_view name, std::string_view value);

/// Errors: no_space. Each entry is one that check_public_entry() accepts.
Result<HeaderContent> compose_public_metadata(const PublicMetadata& metadata);
/// Nothing, and why, if they cannot be.
[[nodiscard]] std::optional<PublicMetadata> parse_public_metadata(const HeaderContent& content,
                                                                  const char*& reason);

} // namespace vnvram::format
