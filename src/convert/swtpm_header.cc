#include "convert/swtpm_header.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/big_endian.h"

namespace vnvram {
namespace {

constexpr std::uint8_t reader_version_min = 1;
constexpr std::size_t reader_version_offset = 1;
constexpr std::size_t header_size_offset = 2;
constexpr std::size_t flags_offset = 4;
constexpr std::size_t length_offset = 6;

} // namespace

bool SwtpmHeader::begins(std::span<const std::byte> bytes) {
  return bytes.size() >= size_bytes && bytes[0] != std::byte{0} &&
         load_big_endian<std::uint16_t>(bytes, header_size_offset) == size_bytes;
}

Result<SwtpmHeader> SwtpmHeader::parse(std::span<const std::byte> bytes) {
  const auto length_bytes = load_big_endian<std::uint32_t>(bytes, length_offset);
  if (length_bytes != bytes.size()) {
    return Error(ErrorKind::corrupt,
                 fmt::format("swtpm's header says {} bytes and there are {}: it is cut, or damaged",
                             length_bytes, bytes.size()),
                 "take it from a backup");
  }
  if (load_big_endian<std::uint8_t>(bytes, reader_version_offset) > version_newest) {
    return Error(ErrorKind::too_new, "it is of a newer swtpm, in a format that is not known here");
  }
  return SwtpmHeader{.version = load_big_endian<std::uint8_t>(bytes, 0),
                     .flags = load_big_endian<std::uint16_t>(bytes, flags_offset)};
}

std::vector<std::byte> SwtpmHeader::put_before(std::span<const std::byte> content,
                                               std::uint16_t flags) {
  std::vector<std::byte> all(size_bytes + content.size());
  const std::span bytes(all);
  store_big_endian(bytes, 0, version_newest);
  store_big_endian(bytes, reader_version_offset, reader_version_min);
  store_big_endian(bytes, header_size_offset, static_cast<std::uint16_t>(size_bytes));
  store_big_endian(bytes, flags_offset, flags);
  store_big_endian(bytes, length_offset, static_cast<std::uint32_t>(all.size()));
  std::copy(content.begin(), content.end(), all.begin() + size_bytes);
  return all;
}

} // namespace vnvram
