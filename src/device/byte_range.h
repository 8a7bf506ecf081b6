// A part of a device or a file.
#pragma once

#include <cstdint>

namespace vnvram {

struct ByteRange {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;

  [[nodiscard]] std::uint64_t end_bytes() const { return offset_bytes + length_bytes; }
};

} // namespace vnvram
