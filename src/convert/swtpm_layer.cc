#include "convert/swtpm_layer.h"

#include <fmt/core.h>

namespace vnvram {

const SwtpmLayer& SwtpmLayer::of_state() {
  static constexpr SwtpmLayer layer = {.plain = SwtpmTag::data,
                                       .encrypted = SwtpmTag::encrypted_data,
                                       .vector = SwtpmTag::data_vector,
                                       .encrypted_flag = SwtpmHeader::encrypted,
                                       .long_key_flag = SwtpmHeader::key_of_256_bits,
                                       .key_name = "its state's key"};
  return layer;
}

const SwtpmLayer& SwtpmLayer::of_migration() {
  static constexpr SwtpmLayer layer = {.plain = SwtpmTag::migration_data,
                                       .encrypted = SwtpmTag::encrypted_migration_data,
                                       .vector = SwtpmTag::migration_vector,
                                       .encrypted_flag = SwtpmHeader::migration_encrypted,
                                       .long_key_flag = SwtpmHeader::migration_key_of_256_bits,
                                       .key_name = "a migration key"};
  return layer;
}

Result<std::vector<std::byte>> SwtpmLayer::wrap(std::span<const std::byte> bytes,
                                                const SwtpmKey* key, std::uint16_t& flags) const {
  std::vector<std::byte> wrapped;
  if (key == nullptr) {
    append_tag(wrapped, plain, bytes);
    return wrapped;
  }
  const Result<SwtpmKey::Sealed> sealed = key->seal(bytes);
  if (!sealed) {
    return sealed.error();
  }
  append_tag(wrapped, encrypted, sealed->bytes);
  append_tag(wrapped, SwtpmTag::code, sealed->code);
  append_tag(wrapped, vector, sealed->vector);
  flags |= encrypted_flag;
  flags |= key->size_bytes() == SwtpmKey::size_256_bytes ? long_key_flag : std::uint16_t{0};
  return wrapped;
}

Error SwtpmLayer::key_needed() const {
  return {ErrorKind::key_needed,
          fmt::format("swtpm has encrypted it with {}, and there is no key here", key_name),
          "give the key that swtpm has been started with"};
}

Result<SecretBytes> SwtpmLayer::decrypt(const SwtpmHeader& header,
                                        std::span<const std::byte> content,
                                        const SwtpmKey& key) const {
  if (header.version == SwtpmHeader::version_without_tags) {
    return key.open_first_version(content);
  }
  const std::size_t size_bytes =
      (header.flags & long_key_flag) != 0 ? SwtpmKey::size_256_bytes : SwtpmKey::size_128_bytes;
  if (size_bytes != key.size_bytes()) {
    return Error(
        ErrorKind::wrong_key,
        fmt::format("it was encrypted with a key of {} bits, and this one has {}", size_bytes * 8,
                    key.size_bytes() * 8),
        fmt::format("give the right key, or this one with mode=aes-{}-cbc", size_bytes * 8));
  }
  const auto bytes = find_tag(content, encrypted);
  const auto code = find_tag(content, SwtpmTag::code);
  if (!bytes || !code) {
    return Error(ErrorKind::corrupt,
                 "there is no encrypted state behind swtpm's header, or no code that proves it",
                 "take it from a backup");
  }
  return key.open(*bytes, *code, find_tag(content, vector));
}

Result<SecretBytes> SwtpmLayer::unwrap(const SwtpmHeader& header,
                                       std::span<const std::byte> content, bool is_encrypted,
                                       const SwtpmKey* key) const {
  if (is_encrypted) {
    return key == nullptr ? key_needed() : decrypt(header, content, *key);
  }
  if (header.version == SwtpmHeader::version_without_tags) {
    return SecretBytes(content);
  }
  if (const auto value = find_tag(content, plain)) {
    return SecretBytes(*value);
  }
  return find_tag(content, encrypted)
             ? key_needed()
             : Error(ErrorKind::corrupt, "there is no state behind swtpm's header",
                     "take it from a backup");
}

} // namespace vnvram
