#include "identity/tpm_identity.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/big_endian.h"
#include "identity/tpm_reader.h"
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
