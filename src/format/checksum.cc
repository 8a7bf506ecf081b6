#include "format/checksum.h"

#include <xxhash.h>

#include "base/barrier.h"

namespace vnvram::format {

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), kept(Barrier::salt) ? seed : 0);
}

} // namespace vnvram::format
