#include "convert/swtpm_tag.h"

#include <algorithm>

#include "base/big_endian.h"

namespace vnvram {
namespace {

constexpr std::size_t tag_length_offset = 2;

} // namespace

std::optional<std::span<const std::byte>> find_tag(std::span<const std::byte> bytes, SwtpmTag tag) {
  while (bytes.size() >= swtpm_tag_size_bytes) {
    const auto found = load_big_endian<std::uint16_t>(bytes, 0);
    const auto length_bytes = load_big_endian<std::uint32_t>(bytes, tag_length_offset);
    bytes = bytes.subspan(swtpm_tag_size_bytes);
    if (length_bytes > bytes.size()) {
      return std::nullopt;
    }
    if (found == static_cast<std::uint16_t>(tag)) {
      return bytes.first(length_bytes);
    }
    bytes = bytes.subspan(length_bytes);
  }
  return std::nullopt;
}

void append_tag(std::vector<std::byte>& bytes, SwtpmTag tag, std::span<const std::byte> value) {
  const std::size_t begin = bytes.size();
  bytes.resize(begin + swtpm_tag_size_bytes + value.size());
  const std::span<std::byte> head = std::span(bytes).subspan(begin);
  store_big_endian(head, 0, static_cast<std::uint16_t>(tag));
  store_big_endian(head, tag_length_offset, static_cast<std::uint32_t>(value.size()));
  std::copy(value.begin(), value.end(), head.begin() + swtpm_tag_size_bytes);
}

} // namespace vnvram
