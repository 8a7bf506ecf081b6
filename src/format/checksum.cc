#include "format/checksum.h"

#include <cstring>

#include <xxhash.h>

#include "base/barrier.h"

namespace vnvram::format {

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), kept(Barrier::salt) ? seed : 0);
}

TableEntry make_entry(std::span<const std::byte> block, std::uint64_t salt, unsigned slot) {
  const std::uint64_t sum = checksum(block, salt) & ~std::uint64_t{1};
  // Zero means "an all-zero block", so the one sum that would read as it becomes another.
  return (sum == 0 ? 2 : sum) | slot;
}

unsigned entry_other_slot(TableEntry entry) {
  if (entry == 0) {
    return 0;
  }
  return kept(Barrier::other_slot) ? 1U - entry_slot(entry) : entry_slot(entry);
}

bool entry_matches(TableEntry entry, std::span<const std::byte> block, std::uint64_t salt) {
  return !kept(Barrier::block_checksum) || make_entry(block, salt, entry_slot(entry)) == entry;
}

bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes.front() == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

} // namespace vnvram::format
