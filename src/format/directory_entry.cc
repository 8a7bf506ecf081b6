#include "format/directory_entry.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <set>

#include <fmt/core.h>

#include "format/all_zero.h"
#include "format/text_field.h"

namespace vnvram::format {

namespace {

constexpr std::byte attribute_must_know{1};
constexpr std::size_t attribute_header_bytes = 3;

Error invalid(const BlobSpec& spec, std::string_view what) {
  return {ErrorKind::invalid_argument, fmt::format("blob \"{}\": {}", spec.name, what)};
}

std::optional<std::vector<Attribute>> decode_attributes(std::span<const std::byte> bytes) {
  std::vector<Attribute> attributes;
  const auto text = [](std::span<const std::byte> part) {
    return std::string(reinterpret_cast<const char*>(part.data()), part.size());
  };
  while (!bytes.empty()) {
    if (bytes.size() < attribute_header_bytes) {
      return std::nullopt;
    }
    const auto name_bytes = std::to_integer<std::size_t>(bytes[1]);
    const auto value_bytes = std::to_integer<std::size_t>(bytes[2]);
    if ((bytes[0] & ~attribute_must_know) != std::byte{0} ||
        name_bytes + value_bytes > bytes.size() - attribute_header_bytes) {
      return std::nullopt;
    }
    Attribute attribute{text(bytes.subspan(attribute_header_bytes, name_bytes)),
                        text(bytes.subspan(attribute_header_bytes + name_bytes, value_bytes)),
                        bytes[0] == attribute_must_know};
    const bool again =
        std::any_of(attributes.begin(), attributes.end(),
                    [&](const Attribute& before) { return before.name == attribute.name; });
    if (again || !is_word(attribute.name, blob_name_max_bytes)) {
      return std::nullopt;
    }
    attributes.push_back(std::move(attribute));
    bytes = bytes.subspan(attribute_header_bytes + name_bytes + value_bytes);
  }
  return attributes;
}

} // namespace

std::size_t encoded_attributes_size_bytes(const std::vector<Attribute>& attributes) {
  std::size_t size = 0;
  for (const Attribute& attribute : attributes) {
    size += attribute_header_bytes + attribute.name.size() + attribute.value.size();
  }
  return size;
}

Status check_spec(const BlobSpec& spec) {
  if (!is_word(spec.name, blob_name_max_bytes)) {
    return invalid(spec, fmt::format("the name {}", word_rule));
  }
  if (!is_word(spec.type, blob_type_max_bytes)) {
    return invalid(spec, fmt::format("the type \"{}\" {}", spec.type, word_rule));
  }
  if (spec.size_max_bytes == 0 || spec.size_max_bytes > blob_size_max_bytes) {
    return invalid(spec, fmt::format("the largest size must be 1 to {} bytes, not {}",
                                     blob_size_max_bytes, spec.size_max_bytes));
  }
  if (spec.producer.size() > blob_producer_max_bytes || !is_printable(spec.producer)) {
    return invalid(spec, "the producer must be up to 63 printable ASCII characters");
  }
  std::set<std::string_view> names;
  for (const Attribute& attribute : spec.attributes) {
    if (!is_word(attribute.name, blob_name_max_bytes) || !names.insert(attribute.name).second) {
      return invalid(spec, fmt::format("attribute \"{}\": the name {}, and unique", attribute.name,
                                       word_rule));
    }
  }
  if (encoded_attributes_size_bytes(spec.attributes) > blob_attributes_max_bytes) {
    return invalid(spec, fmt::format("the attributes need {} bytes and may take {}",
                                     encoded_attributes_size_bytes(spec.attributes),
                                     blob_attributes_max_bytes));
  }
  return {};
}

void set_producer(DirectoryEntry& entry, std::string_view producer) {
  put_text(entry.producer, producer);
}

DirectoryEntry make_directory_entry(const BlobSpec& spec) {
  assert(check_spec(spec).ok());
  DirectoryEntry entry{};
  put_text(entry.name, spec.name);
  put_text(entry.type, spec.type);
  put_text(entry.producer, spec.producer);
  entry.size_max_bytes = spec.size_max_bytes;
  auto to = entry.attributes.begin();
  const auto put = [&to](std::string_view text) {
    to = std::transform(text.begin(), text.end(), to, [](char c) { return std::byte(c); });
  };
  for (const Attribute& attribute : spec.attributes) {
    *to++ = attribute.must_know ? attribute_must_know : std::byte{0};
    *to++ = std::byte(attribute.name.size());
    *to++ = std::byte(attribute.value.size());
    put(attribute.name);
    put(attribute.value);
  }
  entry.attributes_bytes = static_cast<std::uint32_t>(to - entry.attributes.begin());
  return entry;
}

bool is_free(const DirectoryEntry& entry) {
  return all_zero(std::as_bytes(std::span(&entry, 1)));
}

std::optional<DecodedEntry> decode_directory_entry(const DirectoryEntry& entry,
                                                   const char*& reason) {
  const auto name = get_text(entry.name);
  const auto type = get_text(entry.type);
  const auto producer = get_text(entry.producer);
  reason = "unreadable name, type or producer";
  if (!name || !type || !producer || !is_word(*name, blob_name_max_bytes) ||
      !is_word(*type, blob_type_max_bytes) || !is_printable(*producer)) {
    return std::nullopt;
  }
  reason = "impossible sizes";
  if (entry.size_max_bytes == 0 || entry.size_max_bytes > blob_size_max_bytes ||
      entry.size_bytes > entry.size_max_bytes || entry.page_run_count > page_runs_max ||
      entry.attributes_bytes > blob_attributes_max_bytes) {
    return std::nullopt;
  }
  reason = "reserved bytes are not zero";
  const std::span<const PageRun> unused_runs =
      std::span(entry.page_runs).subspan(entry.page_run_count);
  if (!all_zero(entry.reserved) || !all_zero(std::as_bytes(unused_runs)) ||
      !all_zero(std::span(entry.attributes).subspan(entry.attributes_bytes))) {
    return std::nullopt;
  }
  reason = "unreadable attributes";
  auto attributes = decode_attributes(std::span(entry.attributes).first(entry.attributes_bytes));
  if (!attributes) {
    return std::nullopt;
  }
  DecodedEntry decoded;
  decoded.runs.assign(entry.page_runs.begin(), entry.page_runs.begin() + entry.page_run_count);
  std::uint64_t page_count = 0;
  for (const PageRun& run : decoded.runs) {
    page_count += run.page_count;
  }
  reason = "the pages do not match the largest size";
  if (page_count != (entry.size_max_bytes + block_size_bytes - 1) / block_size_bytes) {
    return std::nullopt;
  }
  decoded.info = {*name,
                  *type,
                  entry.size_max_bytes,
                  entry.size_bytes,
                  entry.generation,
                  entry.registered_generation,
                  *producer,
                  std::move(*attributes)};
  return decoded;
}

} // namespace vnvram::format
