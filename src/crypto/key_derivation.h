// Keys for several purposes from one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// HKDF-SHA-256 (RFC 5869) by libcrypto: a key of `size_bytes` (1 to 8160) for one purpose. Who has
/// it knows nothing of the others nor of `secret`. `salt` may be empty, and need not be secret.
/// Errors: invalid_argument (no secret, or too long a key), unsupported (libcrypto cannot).
Result<SecretBytes> derive_key(std::span<const std::byte> secret, std::span<const std::byte> salt,
                               std::string_view purpose, std::size_t size_bytes);

/// PBKDF2-HMAC-SHA-512 (RFC 8018) by libcrypto: what other programs make of a passphrase. Ours are
/// hashed by Argon2id (crypto/passphrase_hash.h). Errors: invalid_argument (no passphrase),
/// unsupported (libcrypto cannot).
Result<SecretBytes> derive_key_in_rounds(std::span<const std::byte> passphrase,
                                         std::span<const std::byte> salt, std::uint32_t rounds,
                                         std::size_t size_bytes);

} // namespace vnvram
