#include "convert/swtpm_linear_file.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr std::string_view magic = "nilmptws"; // Its number, the lowest byte first.
constexpr std::uint8_t linear_version = 1;
constexpr std::size_t version_place = 8;
constexpr std::size_t header_size_place = 10;
constexpr std::size_t entries_place = 12;
constexpr std::size_t entry_size_bytes = 12;
constexpr std::size_t entry_count = 15;
constexpr std::size_t length_place = 4;
constexpr std::size_t section_length_place = 8;

template <typename T> T load_little_endian(std::span<const std::byte> bytes, std::size_t place) {
  T value = 0;
  for (std::size_t at = sizeof(T); at-- > 0;) {
    value = static_cast<T>(value << 8U | std::to_integer<T>(bytes[place + at]));
  }
  return value;
}

template <typename T>
void store_little_endian(std::span<std::byte> bytes, std::size_t place, T value) {
  for (std::size_t at = 0; at < sizeof(T); ++at) {
    bytes[place + at] = static_cast<std::byte>(value & 0xffU);
    value = static_cast<T>(value >> 8U);
  }
}

Error damaged_file(std::string_view what) {
  return {ErrorKind::corrupt, fmt::format("the file of swtpm's is damaged: {}", what),
          "take it from a backup"};
}

bool overlap(const SwtpmLinearFile::Section& left, const SwtpmLinearFile::Section& right) {
  return left.offset_bytes < right.offset_bytes + right.length_bytes &&
         right.offset_bytes < left.offset_bytes + left.length_bytes;
}

Status check_apart(const SwtpmLinearFile::Sections& sections) {
  for (std::size_t left = 0; left < sections.size(); ++left) {
    for (std::size_t right = 0; right < left; ++right) {
      if (sections.at(left) && sections.at(right) &&
          overlap(*sections.at(left), *sections.at(right))) {
        return damaged_file("two states are in the same place");
      }
    }
  }
  return {};
}

} // namespace

bool SwtpmLinearFile::begins(std::span<const std::byte> bytes) {
  const auto there = std::as_bytes(std::span(magic));
  return bytes.size() >= there.size() && std::equal(there.begin(), there.end(), bytes.begin());
}

Result<SwtpmLinearFile::Sections> SwtpmLinearFile::parse(std::span<const std::byte> header,
                                                         std::uint64_t size_bytes) {
  if (!begins(header)) {
    return Error(ErrorKind::foreign, "it is no state file of swtpm's");
  }
  if (header.size() < header_size_bytes || size_bytes < header_size_bytes) {
    return damaged_file("it ends in its header");
  }
  if (load_little_endian<std::uint8_t>(header, version_place) > linear_version) {
    return Error(
        ErrorKind::too_new,
        "it is of a newer swtpm, in a format that is not known here, or its beginning only "
        "keeps swtpm off what is behind it");
  }
  if (load_little_endian<std::uint16_t>(header, header_size_place) != header_size_bytes) {
    return damaged_file("the size of its header");
  }
  Sections sections;
  for (std::size_t index = 0; index < entry_count; ++index) {
    const auto entry = header.subspan(entries_place + index * entry_size_bytes, entry_size_bytes);
    const Section section = {.offset_bytes = load_little_endian<std::uint32_t>(entry, 0),
                             .length_bytes =
                                 load_little_endian<std::uint32_t>(entry, length_place)};
    if (section.offset_bytes == 0) {
      continue;
    }
    if (index >= tpm_state_count) {
      return Error(ErrorKind::too_new, "there are states in it that are not known here");
    }
    const auto section_bytes = load_little_endian<std::uint32_t>(entry, section_length_place);
    if (section.offset_bytes < header_size_bytes || section.length_bytes > section_bytes ||
        section.offset_bytes + section.length_bytes > size_bytes) {
      return damaged_file("a state's place is not in it");
    }
    sections.at(index) = section;
  }
  const Status apart = check_apart(sections);
  return apart ? Result<Sections>(sections) : apart.error();
}

std::vector<std::byte> SwtpmLinearFile::compose(const SwtpmStateFiles& states) {
  std::vector<std::byte> file(header_size_bytes);
  const auto there = std::as_bytes(std::span(magic));
  std::copy(there.begin(), there.end(), file.begin());
  store_little_endian(std::span(file), version_place, linear_version);
  store_little_endian(std::span(file), header_size_place,
                      static_cast<std::uint16_t>(header_size_bytes));
  for (std::size_t index = 0; index < states.size(); ++index) {
    const auto& state = states.at(index);
    if (!state) {
      continue;
    }
    const std::size_t offset_bytes = file.size();
    const std::size_t section_bytes = std::bit_ceil(state->size());
    file.resize(offset_bytes + section_bytes);
    std::copy(state->begin(), state->end(),
              file.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
    const auto entry =
        std::span(file).subspan(entries_place + index * entry_size_bytes, entry_size_bytes);
    store_little_endian(entry, 0, static_cast<std::uint32_t>(offset_bytes));
    store_little_endian(entry, length_place, static_cast<std::uint32_t>(state->size()));
    store_little_endian(entry, section_length_place, static_cast<std::uint32_t>(section_bytes));
  }
  return file;
}

} // namespace vnvram
