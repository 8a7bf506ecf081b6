// What swtpm's files and messages begin with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

/// Ten bytes, all numbers big-endian: version, least version of a reader, size of the header,
/// flags, length of all. Behind it is content: without tags in version 1, elements in version 2.
struct SwtpmHeader {
  static constexpr std::size_t size_bytes = 10;
  static constexpr std::uint8_t version_without_tags = 1;
  static constexpr std::uint8_t version_newest = 2;

  static constexpr std::uint16_t encrypted = 0x1; ///< With the state's key.
  static constexpr std::uint16_t migration_encrypted = 0x2;
  static constexpr std::uint16_t migration_data = 0x4;
  static constexpr std::uint16_t key_of_256_bits = 0x8;
  static constexpr std::uint16_t migration_key_of_256_bits = 0x10;

  std::uint8_t version = version_newest;
  std::uint16_t flags = 0;

  /// Whether these bytes are meant to have one. What libtpms makes begins with a zero byte.
  [[nodiscard]] static bool begins(std::span<const std::byte> bytes);
  /// Of all bytes of a file or message that begin so. Errors: corrupt (they are fewer or more than
  /// it says), too_new.
  static Result<SwtpmHeader> parse(std::span<const std::byte> bytes);
  /// A header of the newest version, and the content behind it.
  [[nodiscard]] static std::vector<std::byte> put_before(std::span<const std::byte> content,
                                                         std::uint16_t flags);
};

} // namespace vnvram
