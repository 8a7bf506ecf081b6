// What TPM commands are put together of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/big_endian.h"

namespace vnvram {

template <typename Number> void append(std::vector<std::byte>& bytes, Number number) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof(number));
  store_big_endian(std::span(bytes), at, number);
}

/// With its length in front.
inline void append_sized(std::vector<std::byte>& bytes, std::span<const std::byte> content) {
  append(bytes, static_cast<std::uint16_t>(content.size()));
  bytes.insert(bytes.end(), content.begin(), content.end());
}

} // namespace vnvram
