#include "convert/swtpm_state_file.h"

#include <cstdint>

#include "convert/swtpm_layer.h"

namespace vnvram {
namespace {

Error not_encrypted() {
  return {ErrorKind::wrong_key, "swtpm has not encrypted it, and there is a key here",
          "give no key, if it is meant to be plain; swtpm refuses it with one, too"};
}

// Of the first versions: plain or encrypted, which only what comes of it can tell.
Result<SecretBytes> unwrap_bare(std::span<const std::byte> bytes, const SwtpmKey* key) {
  if (bytes.empty()) {
    return Error(ErrorKind::corrupt,
                 "it is empty: swtpm leaves such a file where power went before it was on the disk",
                 "take it from a backup: there is no state in it");
  }
  const bool begins_as_state = bytes.front() == std::byte{0};
  if (key != nullptr) {
    Result<SecretBytes> opened = key->open_first_version(bytes);
    return !opened && begins_as_state ? not_encrypted() : std::move(opened);
  }
  return begins_as_state
             ? Result<SecretBytes>(SecretBytes(bytes))
             : Error(
                   ErrorKind::corrupt,
                   "there is neither swtpm's header nor a TPM's state: it is damaged, or an early "
                   "swtpm has encrypted it",
                   "give the key, if there was one");
}

} // namespace

Result<SecretBytes> SwtpmStateFile::unwrap(std::span<const std::byte> bytes, const SwtpmKey* key) {
  if (!SwtpmHeader::begins(bytes)) {
    return unwrap_bare(bytes, key);
  }
  const Result<SwtpmHeader> header = SwtpmHeader::parse(bytes);
  if (!header) {
    return header.error();
  }
  const auto content = bytes.subspan(SwtpmHeader::size_bytes);
  const SwtpmLayer& layer = SwtpmLayer::of_state();
  const bool has_tags = header->version != SwtpmHeader::version_without_tags;
  const bool says_so = (header->flags & layer.encrypted_flag) != 0;
  const bool is_plain =
      has_tags && !says_so && !find_tag(content, layer.encrypted) && find_tag(content, layer.plain);
  if (key != nullptr && is_plain) {
    return not_encrypted();
  }
  return layer.unwrap(*header, content, says_so || key != nullptr, key);
}

Result<std::vector<std::byte>> SwtpmStateFile::wrap(std::span<const std::byte> state,
                                                    const SwtpmKey* key) {
  std::uint16_t flags = 0;
  const auto content = SwtpmLayer::of_state().wrap(state, key, flags);
  return content ? Result<std::vector<std::byte>>(SwtpmHeader::put_before(*content, flags))
                 : content.error();
}

} // namespace vnvram
