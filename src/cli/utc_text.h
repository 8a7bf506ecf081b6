// Moments as text.
#pragma once

#include <cstdint>
#include <string>

namespace vnvram::cli {

/// Of seconds since 1970: "2026-11-29 03:05:14", or the number where no calendar has it.
[[nodiscard]] std::string utc_text(std::uint64_t seconds);

} // namespace vnvram::cli
