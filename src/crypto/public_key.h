// Public keys as certificates and tools have them, by libcrypto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

enum class Curve { p256, p384 };

/// X.509's SubjectPublicKeyInfo.
class PublicKey {
public:
  /// What somebody has written down, as it is.
  explicit PublicKey(std::vector<std::byte> der) : der_(std::move(der)) {}
  /// Big-endian numbers. Errors of both: invalid_argument (these are no such key).
  static Result<PublicKey> rsa(std::span<const std::byte> modulus, std::uint32_t exponent);
  static Result<PublicKey> on_curve(Curve curve, std::span<const std::byte> x,
                                    std::span<const std::byte> y);

  [[nodiscard]] const std::vector<std::byte>& der() const { return der_; }
  /// Lines, the last one with its end.
  [[nodiscard]] std::string pem() const;
  bool operator==(const PublicKey&) const = default;

private:
  std::vector<std::byte> der_;
};

/// Bytes between lines that say what they are.
std::string pem_text(const char* label, std::span<const std::byte> der);

} // namespace vnvram
