#include "uefi/flash_chip.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "vnvram/block_device.h"

namespace vnvram {

bool is_chip_size(std::uint64_t size_bytes) {
  return size_bytes != 0 && size_bytes % block_size_bytes == 0 && size_bytes <= chip_size_max_bytes;
}

Attribute chip_size_attribute(std::uint64_t size_bytes) {
  return {.name = std::string(chip_size_attribute_name), .value = std::to_string(size_bytes)};
}

std::uint64_t chip_size_bytes(const BlobInfo& blob) {
  for (const Attribute& attribute : blob.attributes) {
    std::uint64_t size_bytes = 0;
    const char* const end = attribute.value.data() + attribute.value.size();
    const auto [last, failure] = std::from_chars(attribute.value.data(), end, size_bytes);
    if (attribute.name == chip_size_attribute_name && failure == std::errc() && last == end &&
        is_chip_size(size_bytes)) {
      return std::max(size_bytes, blob.size_max_bytes);
    }
  }
  return blob.size_max_bytes;
}

} // namespace vnvram
