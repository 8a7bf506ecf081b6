// X.509 certificates, by libcrypto.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crypto/public_key.h"
#include "vnvram/result.h"

namespace vnvram {

/// Read, and not proven: who has issued it is for others to ask.
class Certificate {
public:
  /// In DER. What is behind it is not looked at. Errors: invalid_argument (it is none).
  static Result<Certificate> parse(std::span<const std::byte> bytes);

  [[nodiscard]] const std::vector<std::byte>& der() const { return der_; }
  /// Lines, the last one with its end.
  [[nodiscard]] std::string pem() const { return pem_text("CERTIFICATE", der_); }
  /// Of its subject.
  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }

private:
  Certificate(std::vector<std::byte> der, PublicKey public_key)
      : der_(std::move(der)), public_key_(std::move(public_key)) {}

  std::vector<std::byte> der_;
  PublicKey public_key_;
};

} // namespace vnvram
