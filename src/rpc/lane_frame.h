// How a message of a lane for changes is told from those of calls, on the same socket
// (owner.capnp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram {

/// In place of the number of segments less one, which is at most 511.
inline constexpr std::uint32_t lane_frame_marker = 0x80000000U;
/// The marker and the message's length in words, both little-endian.
inline constexpr std::size_t lane_frame_header_bytes = 8;

[[nodiscard]] constexpr std::uint32_t load_frame_number(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (std::size_t place = sizeof(value); place-- > 0;) {
    value = value << 8U | std::to_integer<std::uint32_t>(bytes[place]);
  }
  return value;
}

[[nodiscard]] constexpr std::array<std::byte, lane_frame_header_bytes>
make_lane_frame_header(std::uint32_t length_words) {
  std::array<std::byte, lane_frame_header_bytes> header{};
  for (std::size_t place = 0; place < sizeof(length_words); ++place) {
    header[place] = static_cast<std::byte>(lane_frame_marker >> (8 * place));
    header[sizeof(length_words) + place] = static_cast<std::byte>(length_words >> (8 * place));
  }
  return header;
}

} // namespace vnvram
