// A TPM's endorsement keys and certificates.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "crypto/certificate.h"
#include "crypto/digest.h"
#include "crypto/public_key.h"
#include "identity/endorsement.h"
#include "vnvram/result.h"

namespace vnvram {

struct EndorsementKey {
  EndorsementKind kind;
  Certificate certificate;
  Sha256Digest certificate_digest{};
  /// The key itself, where who has made the TPM has left it there; nothing: it is not there. One
  /// that is not the certificate's is another key: the owner may have put it there.
  std::optional<PublicKey> key_in_tpm;
};

/// Of what is not in the TPM, or is no certificate, there is nothing.
struct TpmIdentity {
  std::vector<EndorsementKey> endorsement_keys; ///< Those that are certified.
  std::optional<Certificate> platform;
};

/// From the permanent state of a TPM 2.0, which is started in memory for that and thrown away. For
/// one thread at a time, in a process in which no TPM is on. Errors: corrupt (libtpms refuses it).
Result<TpmIdentity> read_tpm_identity(std::vector<std::byte> permanent_state);

/// Whether it is worth that: false if the state has no area for the certificate of such a key.
bool may_have_certificate(std::span<const std::byte> permanent_state, const EndorsementKind& kind);

} // namespace vnvram
