// Texts of a fixed width, padded with zeros, and what may be in them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace vnvram::format {

using TextField = std::array<char, 64>;

/// The rule of is_word(), for messages.
inline constexpr std::string_view word_rule =
    "must be 1 to 63 characters of A-Z a-z 0-9 . _ / + @ -";
/// 1 to `size_max_bytes` characters of the alphabet of blob names.
[[nodiscard]] bool is_word(std::string_view text, std::size_t size_max_bytes);
/// Of printable ASCII characters, or empty.
[[nodiscard]] bool is_printable(std::string_view text);

/// `text` is shorter than the field.
void put_text(TextField& field, std::string_view text);
/// Nothing if bytes stand behind its end.
[[nodiscard]] std::optional<std::string> get_text(const TextField& field);

} // namespace vnvram::format
