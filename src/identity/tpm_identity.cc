#include "identity/tpm_identity.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/big_endian.h"
#include "identity/tpm_reader.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {
namespace {

using Why = LeftOutCertificate::Why;

/// What is there of it, or why it is left out; nothing: there is nothing.
std::optional<Certificate> certificate_in(TpmReader& reader, std::uint32_t index,
                                          std::string_view whose, TpmIdentity& identity) {
  const std::optional<NvArea> area = reader.area(index);
  if (!area || !area->was_written) {
    return std::nullopt;
  }
  if (!area->is_platforms || !area->content) {
    identity.left_out.push_back(
        {.whose = whose, .why = area->is_platforms ? Why::unreadable : Why::made_by_owner});
    return std::nullopt;
  }
  Result<Certificate> certificate = Certificate::parse(*area->content);
  if (!certificate) {
    identity.left_out.push_back({.whose = whose, .why = Why::no_certificate});
    return std::nullopt;
  }
  return *std::move(certificate);
}

bool is_kept(const EndorsementKey& key) {
  return key.key_in_tpm && *key.key_in_tpm == key.certificate.public_key();
}

// The private half of what a TPM keeps or makes is in it: nobody can have it keep a key of another
// TPM. Behind that it has nothing of its owner any more.
void leave_out_others_keys(TpmReader& reader, TpmIdentity& identity) {
  std::vector<EndorsementKey>& keys = identity.endorsement_keys;
  if (std::all_of(keys.begin(), keys.end(), is_kept)) {
    return;
  }
  const bool is_free = reader.free_endorsement_keys();
  std::erase_if(keys, [&](const EndorsementKey& key) {
    const bool is_tpms =
        is_kept(key) || (is_free && reader.make_key(key.kind) == key.certificate.public_key());
    if (!is_tpms) {
      identity.left_out.push_back({.whose = key.kind.title, .why = Why::others_key});
    }
    return !is_tpms;
  });
}

} // namespace

std::string_view text_of(Why why) {
  switch (why) {
  case Why::made_by_owner:
    return "the TPM's owner has made its area, who may have written anything there";
  case Why::unreadable: return "its area cannot be read without a secret";
  case Why::no_certificate: return "what is in its area is none";
  case Why::others_key: return "the TPM has not got the key that it certifies";
  }
  return {};
}

// An area's number is there as it is in commands.
bool may_have_certificate(std::span<const std::byte> permanent_state, const EndorsementKind& kind) {
  std::array<std::byte, sizeof(kind.certificate_area)> number{};
  store_big_endian(std::span(number), 0, kind.certificate_area);
  return std::search(permanent_state.begin(), permanent_state.end(), number.begin(),
                     number.end()) != permanent_state.end();
}

Result<TpmIdentity> read_tpm_identity(std::vector<std::byte> permanent_state) {
  std::vector<std::vector<std::byte>> states(tpm_state_count);
  states.front() = std::move(permanent_state);
  SoftTpm tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0), std::move(states),
              Manufacture::forbidden);
  if (const Status on = tpm.power_on(Startup::clear); !on) {
    return on.error();
  }
  TpmReader reader(tpm);
  TpmIdentity identity;
  for (const EndorsementKind& kind : endorsement_kinds()) {
    std::optional<Certificate> certificate =
        certificate_in(reader, kind.certificate_area, kind.title, identity);
    if (!certificate) {
      continue;
    }
    const Result<Sha256Digest> digest = sha256(certificate->der());
    if (!digest) {
      return digest.error();
    }
    identity.endorsement_keys.push_back({.kind = kind,
                                         .certificate = *std::move(certificate),
                                         .certificate_digest = *digest,
                                         .key_in_tpm = reader.key(kind.key_handle)});
  }
  identity.platform = certificate_in(reader, platform_certificate_area, "the platform", identity);
  leave_out_others_keys(reader, identity);
  tpm.stop();
  return identity;
}

} // namespace vnvram
