// A code that proves bytes to who has the key, and hides nothing: HMAC-SHA-256.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4) by libcrypto.
///
/// Threads: any number may use one.
class MessageCodeKey {
public:
  using Code = std::array<std::byte, 32>;

  /// Keeps a copy of the key, and overwrites it at its end. Errors: invalid_argument (no key),
  /// unsupported (libcrypto here does not have HMAC-SHA-256).
  static Result<MessageCodeKey> make(std::span<const std::byte> key);
  MessageCodeKey(MessageCodeKey&&) noexcept = default;
  MessageCodeKey& operator=(MessageCodeKey&&) noexcept = default;
  MessageCodeKey(const MessageCodeKey&) = delete;
  MessageCodeKey& operator=(const MessageCodeKey&) = delete;
  ~MessageCodeKey() = default;

  /// Without memory it throws std::bad_alloc; there is nothing else that can fail.
  [[nodiscard]] Code code(std::span<const std::byte> message) const;

private:
  struct Parts;
  struct PartsRelease {
    void operator()(Parts* parts) const;
  };
  explicit MessageCodeKey(std::unique_ptr<Parts, PartsRelease> parts);

  std::unique_ptr<Parts, PartsRelease> parts_; ///< libcrypto's, with the key.
};

} // namespace vnvram
