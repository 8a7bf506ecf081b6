// The image's checksum: XXH3-64. What is checked with it, and by which seed, is the codec's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram::format {

[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed);

} // namespace vnvram::format
