// A TPM's endorsement keys and certificates.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
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

/// Something is where a certificate should be, and it is not taken for one.
struct LeftOutCertificate {
  std::string_view whose; ///< For people: "RSA 2048", or "the platform".
  enum class Why {
    made_by_owner, ///< A guest may have written there what it likes.
    unreadable,    ///< Without a secret.
    no_certificate,
    others_key ///< The TPM has not got the key that is certified.
  } why;
};
[[nodiscard]] std::string_view text_of(LeftOutCertificate::Why why);

/// Of what is not in the TPM there is nothing.
struct TpmIdentity {
  /// Those that are certified, and that the TPM has: it keeps them, or makes them again.
  std::vector<EndorsementKey> endorsement_keys;
  std::optional<Certificate> platform;
  std::vector<LeftOutCertificate> left_out;
};

/// From the permanent state of a TPM 2.0, which is started in memory for that and thrown away. What
/// the guest can have forged is left out: only the platform's areas count, and certificates of keys
/// whose other half is in the TPM. For one thread at a time, in a process in which no TPM is on.
/// Errors: corrupt (libtpms refuses it).
Result<TpmIdentity> read_tpm_identity(std::vector<std::byte> permanent_state);

/// Whether it is worth that: false if the state has no area for the certificate of such a key.
bool may_have_certificate(std::span<const std::byte> permanent_state, const EndorsementKind& kind);

} // namespace vnvram
