// The elements that swtpm's files and messages are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vnvram {

/// An element is a tag, the length of its value, both big-endian, and the value.
enum class SwtpmTag : std::uint16_t {
  data = 1, ///< As libtpms made it.
  encrypted_data = 2,
  code = 3, ///< HMAC of what is encrypted, and of its vector.
  migration_data = 4,
  encrypted_migration_data = 5,
  data_vector = 6, ///< What the encryption began with.
  migration_vector = 7,
};

/// Of a tag and a length.
inline constexpr std::size_t swtpm_tag_size_bytes = 6;

/// The value of the first element with this tag. Nothing: there is none before the end, or before a
/// length that points behind it.
[[nodiscard]] std::optional<std::span<const std::byte>> find_tag(std::span<const std::byte> bytes,
                                                                 SwtpmTag tag);
void append_tag(std::vector<std::byte>& bytes, SwtpmTag tag, std::span<const std::byte> value);

} // namespace vnvram
