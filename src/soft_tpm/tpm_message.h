// TPM commands and responses as bytes: a tag, a length, a code, and what follows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/big_endian.h"

namespace vnvram {

inline constexpr std::size_t tpm_header_bytes = 10;
inline constexpr std::size_t tpm_length_offset = 2;
inline constexpr std::size_t tpm_code_offset = 6;
inline constexpr std::uint32_t tpm_no_code = 0xffffffff;

/// The command's number, or what the response says became of one (0: it was carried out);
/// tpm_no_code if the message is too short to say.
inline std::uint32_t tpm_code(std::span<const std::byte> message) {
  return message.size() < tpm_header_bytes
             ? tpm_no_code
             : load_big_endian<std::uint32_t>(message, tpm_code_offset);
}

template <std::size_t size>
constexpr std::array<std::byte, size> bytes_of(const char (&text)[size + 1]) {
  std::array<std::byte, size> bytes{};
  for (std::size_t index = 0; index < size; ++index) {
    bytes[index] = static_cast<std::byte>(text[index]);
  }
  return bytes;
}

} // namespace vnvram
