// What a person can remember, made expensive to guess: Argon2id.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::size_t passphrase_salt_size_bytes = 16;
inline constexpr std::size_t passphrase_hash_size_bytes = 32;

/// What one guess costs.
struct HashCost {
  std::uint32_t passes = 0;
  std::uint32_t memory_kib = 0;

  bool operator==(const HashCost&) const = default;
};
inline constexpr std::uint32_t hash_passes_max = 64;
inline constexpr std::uint32_t hash_memory_min_kib = 8;
inline constexpr std::uint32_t hash_memory_max_kib = 4194304; // 4 GiB

/// For a new passphrase: 3 passes over 256 MiB, or over 64 MiB on a host that has little to spare.
[[nodiscard]] HashCost usual_hash_cost();
/// What Argon2id is asked for at all, here and by the format.
[[nodiscard]] bool is_hash_cost(const HashCost& cost);

/// Argon2id of version 0x13 with one lane, by libsodium, which is loaded by the first call.
/// Errors: invalid_argument (no passphrase, or no such cost), unsupported (no libsodium), no_space
/// (not so much memory).
Result<SecretBytes> hash_passphrase(std::span<const std::byte> passphrase,
                                    std::span<const std::byte, passphrase_salt_size_bytes> salt,
                                    const HashCost& cost);

} // namespace vnvram
