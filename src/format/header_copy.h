// The frame of the header area's parts: each is there in two copies, of 16,384 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "format/layout.h"
#include "vnvram/result.h"

namespace vnvram::format {

inline constexpr unsigned header_copy_count = 2;
inline constexpr std::uint32_t header_copy_block_count = 4;
inline constexpr std::size_t header_copy_size_bytes = header_copy_block_count * block_size_bytes;
/// Where each copy begins.
using HeaderCopyBlocks = std::array<std::uint32_t, header_copy_count>;
inline constexpr HeaderCopyBlocks key_slots_start_blocks = {
    keys_start_block, keys_start_block + header_copy_block_count};
inline constexpr HeaderCopyBlocks metadata_start_blocks = {
    keys_start_block + (2 * header_copy_block_count),
    keys_start_block + (3 * header_copy_block_count)};
static_assert(metadata_start_blocks[1] + header_copy_block_count ==
              keys_start_block + keys_block_count);

enum class HeaderPart { key_slots, metadata };
[[nodiscard]] HeaderCopyBlocks start_blocks_of(HeaderPart part);

/// Which copy of which part, of which image.
struct HeaderPlace {
  HeaderPart part = HeaderPart::key_slots;
  unsigned copy = 0;
  std::array<std::byte, 16> uuid = {};
};

/// What a part holds, its entries not looked at yet.
struct HeaderContent {
  std::uint32_t entry_count = 0;
  std::vector<std::byte> entries; ///< One directly behind the other.

  bool operator==(const HeaderContent&) const = default;
};
/// Of the entries.
inline constexpr std::size_t header_content_max_bytes = header_copy_size_bytes - 64;

/// The copy's bytes. `content` has at most header_content_max_bytes.
[[nodiscard]] std::vector<std::byte>
compose_header_copy(const HeaderPlace& place, std::uint64_t sequence, const HeaderContent& content);

enum class HeaderCopyState { valid, zero, damaged };

struct CheckedHeaderCopy {
  HeaderCopyState state = HeaderCopyState::zero;
  const char* reason = ""; ///< Of damaged.
  std::uint64_t sequence = 0;
  HeaderContent content; ///< Of valid.
};
/// Checks the whole frame.
[[nodiscard]] CheckedHeaderCopy
check_header_copy(const HeaderPlace& place,
                  std::span<const std::byte, header_copy_size_bytes> bytes);

/// It says of itself that it is a copy of that part, be it whole or not, and of whichever image.
[[nodiscard]] bool has_header_magic(HeaderPart part,
                                    std::span<const std::byte, header_copy_size_bytes> bytes);

} // namespace vnvram::format
