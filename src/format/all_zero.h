// Blocks that hold nothing.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace vnvram::format {

[[nodiscard]] inline bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes.front() == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

} // namespace vnvram::format
