// What an image says to everybody of its TPM's identity.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/tpm_identity.h"
#include "vnvram/public_metadata.h"
#include "vnvram/result.h"

namespace vnvram {

/// As it is written there, and proven by nothing.
struct SaidEndorsementKey {
  EndorsementKind kind;
  std::string certificate_digest; ///< SHA-256, in hexadecimal digits; empty: not said.
  std::string public_key;         ///< In PEM; empty: not said.
};

/// PREFIXtpm.ek.KIND.certificate.sha256 and PREFIXtpm.ek.KIND.public-key of each key that is
/// certified; the prefix is that of the TPM's blobs.
[[nodiscard]] PublicMetadata identity_metadata(const TpmIdentity& identity,
                                               std::string_view prefix);
/// As large as that of a TPM with an RSA key and an ECC key can become.
[[nodiscard]] PublicMetadata identity_room(std::string_view prefix);
/// All names that there can be of it.
[[nodiscard]] std::vector<std::string> identity_names(std::string_view prefix);
/// Those of which something is said.
[[nodiscard]] std::vector<SaidEndorsementKey> said_identity(const PublicMetadata& metadata,
                                                            std::string_view prefix);
/// Whether the names with this prefix are short enough. Errors: invalid_argument.
[[nodiscard]] Status check_identity_prefix(std::string_view prefix);

} // namespace vnvram
