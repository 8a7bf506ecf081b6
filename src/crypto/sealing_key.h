// Bytes that are secret and authentic: XAES-256-GCM.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// XAES-256-GCM as in C2SP's specification (c2sp.org/XAES-256-GCM), by libcrypto: AES-256-GCM with
/// a key of its own for each nonce, derived by the first half of it. So nonces of 24 bytes can be
/// random for as many messages as anybody makes, and nothing has to remember which were used: a
/// copy of an image that goes on beside the first one makes others.
///
/// Threads: any number may use one.
class SealingKey {
public:
  static constexpr std::size_t key_size_bytes = 32;
  static constexpr std::size_t nonce_size_bytes = 24;
  static constexpr std::size_t tag_size_bytes = 16;
  using Nonce = std::array<std::byte, nonce_size_bytes>;
  using Tag = std::array<std::byte, tag_size_bytes>;

  /// Keeps a copy of the key, and overwrites it at its end. Errors: invalid_argument (not of
  /// key_size_bytes), unsupported (libcrypto here does not have AES-256-GCM).
  static Result<SealingKey> make(std::span<const std::byte> key);
  SealingKey(SealingKey&&) noexcept = default;
  SealingKey& operator=(SealingKey&&) noexcept = default;
  SealingKey(const SealingKey&) = delete;
  SealingKey& operator=(const SealingKey&) = delete;
  ~SealingKey() = default;

  /// One that nobody has used: by chance, out of 2^192. Errors: io (no random numbers).
  static Result<Nonce> make_nonce();

  /// Encrypts `bytes` in place, of at most 2^36 - 32. The tag vouches for them, the nonce and the
  /// associated data. Errors: unsupported (libcrypto has failed; the bytes are not to be used).
  Status seal(const Nonce& nonce, std::span<const std::byte> associated_data,
              std::span<std::byte> bytes, Tag& tag) const;
  /// Decrypts `bytes` in place. Errors: corrupt (they, the tag, the nonce, the associated data or
  /// the key are not those of seal(); the bytes are zeros then), unsupported (as above).
  Status open(const Nonce& nonce, std::span<const std::byte> associated_data,
              std::span<std::byte> bytes, const Tag& tag) const;

private:
  struct Cipher;
  struct CipherRelease {
    void operator()(Cipher* cipher) const;
  };

  SealingKey(std::unique_ptr<Cipher, CipherRelease> cipher, SecretBytes key);

  /// Of this nonce: the key of AES-256-GCM.
  [[nodiscard]] Result<SecretBytes> derive(const Nonce& nonce) const;

  std::unique_ptr<Cipher, CipherRelease> cipher_;
  SecretBytes key_;
  SecretBytes subkey_; ///< K1 of CMAC, which is the same for each nonce.
};

} // namespace vnvram
