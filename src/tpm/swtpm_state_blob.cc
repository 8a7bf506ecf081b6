#include "tpm/swtpm_state_blob.h"

#include <algorithm>
#include <optional>

#include "base/big_endian.h"

namespace vnvram {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint8_t version = 2;
constexpr std::uint8_t version_without_tags = 1;
constexpr std::uint8_t reader_version_min = 1;

constexpr std::size_t header_size_bytes = 10;
constexpr std::size_t reader_version_offset = 1;
constexpr std::size_t header_size_offset = 2;
constexpr std::size_t flags_offset = 4;
constexpr std::size_t length_offset = 6;

constexpr std::uint16_t flag_encrypted = 0x1;
constexpr std::uint16_t flag_migration_encrypted = 0x2;
constexpr std::uint16_t flag_migration_data = 0x4;

constexpr std::size_t tag_header_bytes = 6; // A tag and a length.
constexpr std::size_t tag_length_offset = 2;
constexpr std::uint16_t tag_data = 1;
constexpr std::uint16_t tag_encrypted_data = 2;
constexpr std::uint16_t tag_migration_data = 4;
constexpr std::uint16_t tag_encrypted_migration_data = 5;

void put_tag(std::span<std::byte> bytes, std::uint16_t tag, std::size_t length_bytes) {
  store_big_endian(bytes, 0, tag);
  store_big_endian(bytes, tag_length_offset, static_cast<std::uint32_t>(length_bytes));
}

// The value of the first element with this tag. Nothing: there is none before the end, or before a
// length that points behind it.
std::optional<Bytes> find_tag(Bytes bytes, std::uint16_t tag) {
  while (bytes.size() >= tag_header_bytes) {
    const auto found = load_big_endian<std::uint16_t>(bytes, 0);
    const auto length_bytes = load_big_endian<std::uint32_t>(bytes, tag_length_offset);
    bytes = bytes.subspan(tag_header_bytes);
    if (length_bytes > bytes.size()) {
      return std::nullopt;
    }
    if (found == tag) {
      return bytes.first(length_bytes);
    }
    bytes = bytes.subspan(length_bytes);
  }
  return std::nullopt;
}

SwtpmStateBlob::Unwrapped refused(TpmResult result, std::string_view reason) {
  return {result, reason, {}};
}

SwtpmStateBlob::Unwrapped open(Bytes bytes, std::uint16_t tag, std::uint16_t encrypted_tag) {
  if (const auto value = find_tag(bytes, tag)) {
    return {tpm_success, {}, *value};
  }
  return find_tag(bytes, encrypted_tag)
             ? refused(tpm_key_not_found, "swtpm has encrypted it, and there is no key here")
             : refused(tpm_fail, "there is no state behind swtpm's header");
}

} // namespace

std::vector<std::byte> SwtpmStateBlob::wrap(Bytes state) {
  if (state.empty()) {
    return {};
  }
  constexpr std::size_t data_offset = header_size_bytes + 2 * tag_header_bytes;
  std::vector<std::byte> wrapped(data_offset + state.size());
  const std::span bytes(wrapped);
  store_big_endian(bytes, 0, version);
  store_big_endian(bytes, reader_version_offset, reader_version_min);
  store_big_endian(bytes, header_size_offset, static_cast<std::uint16_t>(header_size_bytes));
  store_big_endian(bytes, flags_offset, flag_migration_data);
  store_big_endian(bytes, length_offset, static_cast<std::uint32_t>(wrapped.size()));
  put_tag(bytes.subspan(header_size_bytes), tag_migration_data, tag_header_bytes + state.size());
  put_tag(bytes.subspan(header_size_bytes + tag_header_bytes), tag_data, state.size());
  std::copy(state.begin(), state.end(), bytes.begin() + data_offset);
  return wrapped;
}

SwtpmStateBlob::Unwrapped SwtpmStateBlob::unwrap(Bytes bytes) {
  const bool has_header =
      bytes.size() >= header_size_bytes && bytes[0] != std::byte{0} &&
      load_big_endian<std::uint16_t>(bytes, header_size_offset) == header_size_bytes;
  if (!has_header) {
    return {tpm_success, {}, bytes};
  }
  if (load_big_endian<std::uint32_t>(bytes, length_offset) != bytes.size()) {
    return refused(tpm_bad_parameter, "swtpm's header says another length: it is cut, or damaged");
  }
  if (load_big_endian<std::uint8_t>(bytes, reader_version_offset) > version) {
    return refused(tpm_bad_version, "it is of a newer swtpm, in a format that is not known here");
  }
  const auto flags = load_big_endian<std::uint16_t>(bytes, flags_offset);
  const Bytes content = bytes.subspan(header_size_bytes);
  if (content.empty()) {
    return {};
  }
  if ((flags & flag_migration_encrypted) != 0) {
    return refused(tpm_key_not_found,
                   "swtpm has encrypted it with a migration key, and there is no key here");
  }
  if ((flags & flag_encrypted) != 0) {
    return refused(tpm_key_not_found,
                   "swtpm has encrypted it with its state's key, and there is no key here");
  }
  if (load_big_endian<std::uint8_t>(bytes, 0) == version_without_tags) {
    return {tpm_success, {}, content};
  }
  const Unwrapped outer = open(content, tag_migration_data, tag_encrypted_migration_data);
  return outer.result == tpm_success ? open(outer.state, tag_data, tag_encrypted_data) : outer;
}

} // namespace vnvram
