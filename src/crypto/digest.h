// Digests, by libcrypto.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

using Sha256Digest = std::array<std::byte, 32>;

/// FIPS 180-4. Errors: unsupported (libcrypto cannot).
Result<Sha256Digest> sha256(std::span<const std::byte> bytes);
/// 64 bytes; of a secret they are one.
Result<SecretBytes> sha512(std::span<const std::byte> bytes);

} // namespace vnvram
