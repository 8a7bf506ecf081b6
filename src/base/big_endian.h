// The byte order of TPMs and of their control protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram {

/// Reads an unsigned number; the caller has checked that its bytes are there.
template <typename T>
[[nodiscard]] T load_big_endian(std::span<const std::byte> bytes, std::size_t offset) {
  T value = 0;
  for (const std::byte byte : bytes.subspan(offset, sizeof(T))) {
    value = static_cast<T>(value << 8U | std::to_integer<T>(byte));
  }
  return value;
}

/// Writes a number where the caller has made room for it.
template <typename T>
void store_big_endian(std::span<std::byte> bytes, std::size_t offset, T value) {
  for (std::size_t place = sizeof(T); place-- > 0;) {
    bytes[offset + place] = static_cast<std::byte>(value & 0xffU);
    value = static_cast<T>(value >> 8U);
  }
}

} // namespace vnvram
