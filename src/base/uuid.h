// UUIDs as people and scripts write them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vnvram {

using Uuid = std::array<std::byte, 16>;

/// "01234567-89ab-cdef-0123-456789abcdef".
[[nodiscard]] std::string uuid_text(std::span<const std::byte, 16> uuid);
/// Of that form, in small or capital letters; nothing for any other.
[[nodiscard]] std::optional<Uuid> parse_uuid(std::string_view text);

} // namespace vnvram
