// A key that swtpm encrypts a TPM's state with.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// AES-CBC, with an HMAC-SHA-256 of the same key over what comes of it and over the vector. What is
/// encrypted is first padded to a multiple of the key's length, not of AES's; the vector is as long
/// as the key, too, and its first 16 bytes are used.
///
/// In memory it is locked, and overwritten at its end.
class SwtpmKey {
public:
  static constexpr std::size_t size_128_bytes = 16;
  static constexpr std::size_t size_256_bytes = 32;

  /// Errors: invalid_argument (neither of these sizes).
  static Result<SwtpmKey> make(SecretBytes bytes);

  [[nodiscard]] std::size_t size_bytes() const { return bytes_.get().size(); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_.get(); }

  struct Sealed {
    std::vector<std::byte> bytes;
    std::vector<std::byte> code;
    std::vector<std::byte> vector;
  };
  /// With a random vector. Errors: io (no random numbers), unsupported (libcrypto cannot).
  [[nodiscard]] Result<Sealed> seal(std::span<const std::byte> bytes) const;
  /// Without a vector it was zero. Errors: wrong_key (or it was changed: that cannot be told
  /// apart), corrupt, unsupported.
  [[nodiscard]] Result<SecretBytes>
  open(std::span<const std::byte> bytes, std::span<const std::byte> code,
       const std::optional<std::span<const std::byte>>& vector) const;
  /// The first version's: a zero vector, and instead of the code a SHA-256 in front of what was
  /// encrypted. Errors: the same.
  [[nodiscard]] Result<SecretBytes> open_first_version(std::span<const std::byte> bytes) const;

private:
  explicit SwtpmKey(SecretBytes bytes) : bytes_(std::move(bytes)) {}

  [[nodiscard]] Result<SecretBytes> decrypt(std::span<const std::byte> bytes,
                                            std::span<const std::byte> vector) const;

  SecretBytes bytes_;
};

} // namespace vnvram
