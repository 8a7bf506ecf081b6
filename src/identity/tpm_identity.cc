#include "identity/tpm_identity.h"

#include <utility>

#include "identity/tpm_reader.h"
#include "soft_tpm/quiet_libtpms.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {
namespace {

std::optional<Certificate> certificate_in(TpmReader& reader, std::uint32_t area) {
  const auto bytes = reader.area(area);
  if (!bytes) {
    return std::nullopt;
  }
  Result<Certificate> certificate = Certificate::parse(*bytes);
  return certificate ? std::optional(*std::move(certificate)) : std::nullopt;
}

} // namespace

Result<TpmIdentity> read_tpm_identity(std::vector<std::byte> permanent_state) {
  const QuietLibtpms quiet;
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
    std::optional<Certificate> certificate = certificate_in(reader, kind.certificate_area);
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
  identity.platform = certificate_in(reader, platform_certificate_area);
  tpm.stop();
  return identity;
}

} // namespace vnvram
