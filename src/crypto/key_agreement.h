// X25519: a secret of two, of whom each has shown the other one only a public key.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::size_t agreement_key_size_bytes = 32;
/// As it is in an image, raw.
using AgreementPublicKey = std::array<std::byte, agreement_key_size_bytes>;

/// A private key that nobody has had before. Errors: io (no random numbers).
Result<SecretBytes> make_agreement_key();
/// Errors: invalid_argument (not of 32 bytes), unsupported (libcrypto cannot do X25519).
Result<AgreementPublicKey> agreement_public_key(std::span<const std::byte> private_key);
/// What both sides come to (RFC 7748, 6.1): 32 bytes that are not yet a key, but what one is
/// derived from. Errors: corrupt for a public key of small order, by which everybody comes to
/// zeros; invalid_argument, unsupported as above.
Result<SecretBytes> agree(std::span<const std::byte> private_key,
                          const AgreementPublicKey& public_key);

/// Whether these bytes are meant as PEM.
[[nodiscard]] bool is_pem(std::span<const std::byte> bytes);
/// Of "PRIVATE KEY" (PKCS #8), not encrypted. Errors: invalid_argument.
Result<SecretBytes> agreement_key_from_pem(std::span<const std::byte> pem);
/// Of "PUBLIC KEY". Errors: invalid_argument, which says so if it is the private one.
Result<AgreementPublicKey> agreement_public_key_from_pem(std::span<const std::byte> pem);

} // namespace vnvram
