// Bytes as hexadecimal digits.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vnvram {

/// Two small letters or digits for each byte.
[[nodiscard]] std::string hex(std::span<const std::byte> bytes);
/// The other way round, in small or capital letters; nothing for any other text.
[[nodiscard]] std::optional<std::vector<std::byte>> parse_hex(std::string_view text);

} // namespace vnvram
