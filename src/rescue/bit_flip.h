// Finds the one bit that rotted, by trying each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram {

/// Flips one bit after the other until `fits` says that the bytes are right, and leaves it flipped.
/// False: it is not a single bit; the bytes are as they were. With a checksum of 63 bits or more
/// there is no wrong hit to be expected in any number of tries that a machine can make.
template <typename Fits> bool unflip_bit(std::span<std::byte> bytes, Fits fits) {
  for (std::byte& byte : bytes) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto mask = static_cast<std::byte>(1U << bit);
      byte ^= mask;
      if (fits()) {
        return true;
      }
      byte ^= mask;
    }
  }
  return false;
}

} // namespace vnvram
