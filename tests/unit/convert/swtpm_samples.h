// What swtpm 0.7.1 of Debian 12 has made, of TPMs 2.0 that were just made, and the keys that it
// had.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "convert/swtpm_key.h"
#include "crypto/digest.h"
#include "crypto/key_derivation.h"
#include "support/bytes.h"

namespace vnvram::test {

inline std::vector<std::byte> swtpm_sample(const std::string& name) {
  std::ifstream file(std::string(VNVRAM_SWTPM_SAMPLES) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline SwtpmKey swtpm_key(std::string_view digits) {
  return SwtpmKey::make(SecretBytes(from_hex(digits))).value();
}
inline SwtpmKey key_of_128_bits() {
  return swtpm_key("00112233445566778899aabbccddeeff");
}
inline SwtpmKey key_of_256_bits() {
  return swtpm_key("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}
/// pwdfile=..., with mode=aes-256-cbc; the file ended with a newline.
inline SwtpmKey key_of_passphrase() {
  constexpr std::string_view passphrase = "a passphrase\n";
  constexpr std::string_view salt = "swtpm";
  return SwtpmKey::make(derive_key_in_rounds(std::as_bytes(std::span(passphrase)),
                                             std::as_bytes(std::span(salt)), 1000, 32)
                            .value())
      .value();
}

} // namespace vnvram::test
