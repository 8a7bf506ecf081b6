#include "convert/swtpm_state_blob.h"

#include "convert/swtpm_layer.h"

namespace vnvram {
namespace {

SwtpmStateBlob::Unwrapped refused(TpmResult result, const Error& error) {
  return {result, error.cause(), {}};
}

TpmResult result_of(const Error& error) {
  switch (error.kind()) {
  case ErrorKind::key_needed: return tpm_key_not_found;
  case ErrorKind::wrong_key: return tpm_decrypt_error;
  default: return tpm_fail;
  }
}

SwtpmStateBlob::Unwrapped open(const SwtpmHeader& header, std::span<const std::byte> content,
                               const SwtpmStateBlob::Keys& keys, bool is_encrypted) {
  const bool is_migration_encrypted = (header.flags & SwtpmHeader::migration_encrypted) != 0;
  const Result<SecretBytes> inner =
      SwtpmLayer::of_migration().unwrap(header, content, is_migration_encrypted, keys.migration);
  if (!inner) {
    return refused(result_of(inner.error()), inner.error());
  }
  const bool is_state_encrypted = is_encrypted || (header.flags & SwtpmHeader::encrypted) != 0;
  Result<SecretBytes> state =
      SwtpmLayer::of_state().unwrap(header, inner->get(), is_state_encrypted, keys.state);
  return state ? SwtpmStateBlob::Unwrapped{tpm_success, {}, *std::move(state)}
               : refused(result_of(state.error()), state.error());
}

} // namespace

std::vector<std::byte> SwtpmStateBlob::wrap(std::span<const std::byte> state) {
  return wrap(state, {}).value(); // Only encryption can fail.
}

Result<std::vector<std::byte>> SwtpmStateBlob::wrap(std::span<const std::byte> state,
                                                    const Keys& keys) {
  if (state.empty()) {
    return std::vector<std::byte>();
  }
  std::uint16_t flags = SwtpmHeader::migration_data;
  const auto inner = SwtpmLayer::of_state().wrap(state, keys.state, flags);
  const auto outer = inner ? SwtpmLayer::of_migration().wrap(*inner, keys.migration, flags) : inner;
  return outer ? Result<std::vector<std::byte>>(SwtpmHeader::put_before(*outer, flags))
               : outer.error();
}

SwtpmStateBlob::Unwrapped SwtpmStateBlob::unwrap(std::span<const std::byte> bytes, const Keys& keys,
                                                 bool is_encrypted) {
  if (!SwtpmHeader::begins(bytes)) {
    return {tpm_success, {}, SecretBytes(bytes)};
  }
  const Result<SwtpmHeader> header = SwtpmHeader::parse(bytes);
  if (!header) {
    const bool is_newer = header.error().kind() == ErrorKind::too_new;
    return refused(is_newer ? tpm_bad_version : tpm_bad_parameter, header.error());
  }
  const auto content = bytes.subspan(SwtpmHeader::size_bytes);
  return content.empty() ? Unwrapped{} : open(*header, content, keys, is_encrypted);
}

} // namespace vnvram
