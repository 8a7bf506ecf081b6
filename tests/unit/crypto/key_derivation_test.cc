// HKDF-SHA-256: the vectors of RFC 5869, and what it refuses.
#include "crypto/key_derivation.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

std::string derived(std::string_view secret, std::string_view salt, std::string_view purpose,
                    std::size_t size_bytes) {
  const auto info = *parse_hex(purpose);
  const auto key =
      derive_key(*parse_hex(secret), *parse_hex(salt),
                 {reinterpret_cast<const char*>(info.data()), info.size()}, size_bytes);
  EXPECT_TRUE(key.ok());
  return key ? hex(key->get()) : "";
}

TEST(KeyDerivationTest, HasTheVectorsOfItsSpecification) {
  EXPECT_EQ(derived("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
                    "f0f1f2f3f4f5f6f7f8f9", 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(derived("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(KeyDerivationTest, EachPurposeHasItsOwnKey) {
  const std::vector<std::byte> secret(32, std::byte{1});
  const auto pages = derive_key(secret, {}, "pages", 32);
  const auto records = derive_key(secret, {}, "records", 32);
  ASSERT_OK(pages);
  ASSERT_OK(records);
  EXPECT_NE(pages->get(), records->get());
}

// Made with Python's hashlib.pbkdf2_hmac("sha512", ...).
TEST(KeyDerivationTest, InRoundsIsWhatOthersMake) {
  constexpr std::string_view passphrase = "a passphrase\n";
  constexpr std::string_view salt = "swtpm";
  const auto key = derive_key_in_rounds(std::as_bytes(std::span(passphrase)),
                                        std::as_bytes(std::span(salt)), 1000, 32);
  ASSERT_OK(key);
  EXPECT_EQ(hex(key->get()), "e81778cbf35a42adbf863190293801a4e91c10a4dbb86d4278200a9b9604c912");
  EXPECT_KIND(derive_key_in_rounds({}, std::as_bytes(std::span(salt)), 1000, 32), invalid_argument);
}

TEST(KeyDerivationTest, RefusesWhatIsNoKey) {
  const std::vector<std::byte> secret(32, std::byte{1});
  EXPECT_KIND(derive_key({}, {}, "pages", 32), invalid_argument);
  EXPECT_KIND(derive_key(secret, {}, "pages", 0), invalid_argument);
  EXPECT_KIND(derive_key(secret, {}, "pages", 8161), invalid_argument);
  ASSERT_OK(derive_key(secret, {}, "pages", 8160));
}

} // namespace
} // namespace vnvram::test
