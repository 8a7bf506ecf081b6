// AES in cipher block chaining: for other programs' files. Ours are sealed by SealingKey.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::size_t chaining_block_size_bytes = 16;
using ChainingVector = std::array<std::byte, chaining_block_size_bytes>;

/// Whole blocks in place, without padding, with a key of 16 or 32 bytes, by libcrypto. Nothing in
/// the result proves that it was not changed. Errors: invalid_argument (another key, no whole
/// blocks), unsupported (libcrypto cannot).
Status encrypt_chained(std::span<const std::byte> key, const ChainingVector& vector,
                       std::span<std::byte> bytes);
Status decrypt_chained(std::span<const std::byte> key, const ChainingVector& vector,
                       std::span<std::byte> bytes);

} // namespace vnvram
