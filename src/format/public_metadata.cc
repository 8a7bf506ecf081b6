#include "format/public_metadata.h"

#include <cassert>
#include <cstring>

#include <fmt/core.h>

#include "format/text_field.h"

namespace vnvram::format {
namespace {

struct MetadataHeader {
  std::uint8_t name_bytes;
  std::uint8_t reserved;
  std::uint16_t value_bytes;
};
static_assert(sizeof(MetadataHeader) == 4);

void append_text(std::vector<std::byte>& to, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::string take_text(std::span<const std::byte>& bytes, std::size_t size_bytes) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), size_bytes);
  bytes = bytes.subspan(size_bytes);
  return text;
}

} // namespace

Status check_public_entry(std::string_view name, std::string_view value) {
  if (!is_word(name, public_name_max_bytes)) {
    return Error(ErrorKind::invalid_argument, fmt::format("the name \"{}\" {}", name, word_rule));
  }
  if (value.size() > public_value_max_bytes) {
    return Error(ErrorKind::too_large,
                 fmt::format("the value of \"{}\" has {} bytes; public ones have at most {}", name,
                             value.size(), public_value_max_bytes));
  }
  return {};
}

Result<HeaderContent> compose_public_metadata(const PublicMetadata& metadata) {
  HeaderContent content;
  content.entry_count = static_cast<std::uint32_t>(metadata.size());
  for (const auto& [name, value] : metadata) {
    assert(check_public_entry(name, value).ok());
    const MetadataHeader header{.name_bytes = static_cast<std::uint8_t>(name.size()),
                                .reserved = 0,
                                .value_bytes = static_cast<std::uint16_t>(value.size())};
    const auto bytes = std::as_bytes(std::span(&header, 1));
    content.entries.insert(content.entries.end(), bytes.begin(), bytes.end());
    append_text(content.entries, name);
    append_text(content.entries, value);
  }
  if (content.entries.size() > header_content_max_bytes) {
    return Error(ErrorKind::no_space,
                 fmt::format("the public metadata would take {} bytes, and there are {}",
                             content.entries.size(), header_content_max_bytes),
                 "remove some first");
  }
  return content;
}

std::optional<PublicMetadata> parse_public_metadata(const HeaderContent& content,
                                                    const char*& reason) {
  PublicMetadata metadata;
  std::span<const std::byte> rest = content.entries;
  while (!rest.empty()) {
    MetadataHeader header{};
    reason = "public metadata that is cut off";
    if (rest.size() < sizeof(header)) {
      return std::nullopt;
    }
    std::memcpy(&header, rest.data(), sizeof(header));
    rest = rest.subspan(sizeof(header));
    if (rest.size() < std::size_t{header.name_bytes} + header.value_bytes) {
      return std::nullopt;
    }
    std::string name = take_text(rest, header.name_bytes);
    std::string value = take_text(rest, header.value_bytes);
    reason = "an entry of public metadata that cannot be";
    const bool in_order = metadata.empty() || metadata.rbegin()->first < name;
    if (header.reserved != 0 || !check_public_entry(name, value) || !in_order) {
      return std::nullopt;
    }
    metadata.emplace_hint(metadata.end(), std::move(name), std::move(value));
  }
  reason = "a wrong number of public metadata";
  return metadata.size() == content.entry_count ? std::optional(std::move(metadata)) : std::nullopt;
}

} // namespace vnvram::format
