// A volume of UEFI variables as firmware's templates have it, byte by byte.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace vnvram::test {

using Bytes = std::vector<std::byte>;

// Where the fields are: UEFI PI specification, volume 3, "EFI_FIRMWARE_VOLUME_HEADER", and edk2's
// MdeModulePkg/Include/Guid/VariableFormat.h. A header has one run of blocks here, as OVMF's has.
inline constexpr std::size_t zero_vector_at = 0;
inline constexpr std::size_t file_system_at = 16;
inline constexpr std::size_t volume_length_at = 32;
inline constexpr std::size_t signature_at = 40;
inline constexpr std::size_t header_length_at = 48;
inline constexpr std::size_t checksum_at = 50;
inline constexpr std::size_t revision_at = 55;
inline constexpr std::size_t block_count_at = 56;
inline constexpr std::size_t block_length_at = 60;
inline constexpr std::size_t last_run_at = 64;
inline constexpr std::size_t header_length = 72;
inline constexpr std::size_t store_type_at = header_length;
inline constexpr std::size_t store_size_at = header_length + 16;
inline constexpr std::size_t store_format_at = header_length + 20;
inline constexpr std::size_t store_state_at = header_length + 21;
inline constexpr std::size_t store_reserved_at = header_length + 22;
inline constexpr std::size_t store_header_end = header_length + 28;

inline constexpr std::size_t ovmf_4m_bytes = 540672;
inline constexpr std::size_t mib = std::size_t{1} << 20U;

template <typename T> void put(Bytes& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}
template <typename T> T get(const Bytes& bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

/// As if whoever made the file had meant it so.
inline void mend_checksum(Bytes& bytes) {
  put<std::uint16_t>(bytes, checksum_at, 0);
  std::uint16_t sum = 0;
  for (std::size_t offset = 0; offset < header_length; offset += 2) {
    sum = static_cast<std::uint16_t>(sum + get<std::uint16_t>(bytes, offset));
  }
  put<std::uint16_t>(bytes, checksum_at, static_cast<std::uint16_t>(-sum));
}

/// A volume as OVMF's 4M build has it, or of another number of blocks of 4 KiB.
inline Bytes volume(std::size_t length_bytes = ovmf_4m_bytes) {
  const std::array<std::uint8_t, 16> file_system = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                                    0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
  const std::array<std::uint8_t, 16> store_type = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                                   0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};
  Bytes bytes(length_bytes, std::byte{0xff});
  std::fill_n(bytes.begin(), store_header_end, std::byte{0});
  put(bytes, file_system_at, file_system);
  put<std::uint64_t>(bytes, volume_length_at, length_bytes);
  std::memcpy(bytes.data() + signature_at, "_FVH", 4);
  put<std::uint32_t>(bytes, signature_at + 4, 0x4feff);
  put<std::uint16_t>(bytes, header_length_at, header_length);
  put<std::uint8_t>(bytes, revision_at, 2);
  put<std::uint32_t>(bytes, block_count_at, static_cast<std::uint32_t>(length_bytes / 4096));
  put<std::uint32_t>(bytes, block_length_at, 4096);
  mend_checksum(bytes);
  put(bytes, store_type_at, store_type);
  put<std::uint32_t>(bytes, store_size_at,
                     static_cast<std::uint32_t>(length_bytes / 2 - header_length));
  put<std::uint8_t>(bytes, store_format_at, 0x5a);
  put<std::uint8_t>(bytes, store_state_at, 0xfe);
  return bytes;
}

} // namespace vnvram::test
