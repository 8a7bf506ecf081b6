// The image's checksum: XXH3-64. Seeded with the store's salt, so that a guest, which controls
// payload bytes, cannot forge a block that passes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "format/layout.h"

namespace vnvram::format {

[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed);

/// The table entry that vouches for a block in a slot (0 or 1). Never zero.
[[nodiscard]] TableEntry make_entry(std::span<const std::byte> block, std::uint64_t salt,
                                    unsigned slot);
[[nodiscard]] inline unsigned entry_slot(TableEntry entry) {
  return entry & 1U;
}
/// The slot that nothing current depends on.
[[nodiscard]] unsigned entry_other_slot(TableEntry entry);
[[nodiscard]] bool entry_matches(TableEntry entry, std::span<const std::byte> block,
                                 std::uint64_t salt);
[[nodiscard]] bool all_zero(std::span<const std::byte> bytes);

} // namespace vnvram::format
