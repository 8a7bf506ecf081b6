// How firmware lays out the flash that its variables are in.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace vnvram::uefi_flash {

static_assert(std::endian::native == std::endian::little, "fields are read in place");

using Guid = std::array<std::uint8_t, 16>;

// EFI_FIRMWARE_VOLUME_HEADER; runs of blocks follow, the last one empty.
struct VolumeHeader {
  std::array<std::uint8_t, 16> zero_vector;
  Guid file_system;
  std::uint64_t length_bytes;
  std::array<char, 4> signature;
  std::uint32_t attributes;
  std::uint16_t header_length_bytes;
  std::uint16_t checksum; ///< Makes the sum of the header's 16-bit words zero.
  std::uint16_t extended_header_offset;
  std::uint8_t reserved;
  std::uint8_t revision;
};
static_assert(sizeof(VolumeHeader) == 56 && offsetof(VolumeHeader, signature) == 40);

// edk2's VARIABLE_STORE_HEADER: variables follow.
struct StoreHeader {
  Guid type;
  std::uint32_t size_bytes; ///< With this header.
  std::uint8_t format;
  std::uint8_t state;
  std::uint16_t reserved;
  std::uint32_t reserved_too;
};
static_assert(sizeof(StoreHeader) == 28);

inline constexpr std::array<char, 4> volume_signature = {'_', 'F', 'V', 'H'};
inline constexpr std::uint8_t store_formatted = 0x5a;
inline constexpr std::uint8_t store_healthy = 0xfe;

// aaf32c78-947b-439a-a180-2e144ec37792: of all firmware that knows Secure Boot.
inline constexpr Guid authenticated_store = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                             0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};
// ddcf3616-3275-4164-98b6-fe85707ffe7d.
inline constexpr Guid plain_store = {0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
                                     0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d};

} // namespace vnvram::uefi_flash
