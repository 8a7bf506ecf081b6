// X25519: the vectors of RFC 7748, PEM as OpenSSL writes it, and what is no key.
#include "crypto/key_agreement.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

std::span<const std::byte> pem_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

AgreementPublicKey public_key_from(std::string_view digits) {
  AgreementPublicKey key{};
  std::ranges::copy(*parse_hex(digits), key.begin());
  return key;
}

// Made by: openssl genpkey -algorithm X25519; openssl pkey -pubout.
constexpr std::string_view private_pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIDg/YITPvxQsvKWDc95pnLQMMb7HTp7LbWuNJ5RxevZj\n"
    "-----END PRIVATE KEY-----\n";
constexpr std::string_view public_pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAt+p8wew6jQoxcR7Se5M+p11qzn7Qr/9GSFfMhJNUrig=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view encrypted_pem =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjYPUFgYy/GNQICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENuyMuIbV18qOcCf7LezfGEEQJJD\n"
    "5ieoKNBLKLy/u9JSOK5SQjeKWu4e+mQTRIDEbO5jMUPwtq9qgY5RjmZJe0BHnBf0\n"
    "AYtzEM7ApuS2r1uNKQc=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
constexpr std::string_view x448_pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MEYCAQAwBQYDK2VvBDoEOCiWFp0qVhTQn4qRfopO3zp+nieQioJB5nAJ1ehSSe6p\n"
    "OzcdXeEjkAPKF7PDTjGkRtUoxg7sblWM\n"
    "-----END PRIVATE KEY-----\n";

TEST(KeyAgreementTest, HasTheVectorsOfRfc7748) {
  const auto scalar =
      *parse_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
  const auto shared = agree(
      scalar, public_key_from("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  ASSERT_OK(shared);
  EXPECT_EQ(hex(shared->get()), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  // The example of its section 6.1: Bob's side of it.
  const auto bob = *parse_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  const auto of_bob = agreement_public_key(bob);
  ASSERT_OK(of_bob);
  EXPECT_EQ(hex(*of_bob), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const auto of_both = agree(
      bob, public_key_from("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
  ASSERT_OK(of_both);
  EXPECT_EQ(hex(of_both->get()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST(KeyAgreementTest, BothSidesComeToTheSame) {
  const auto one = make_agreement_key();
  const auto other = make_agreement_key();
  ASSERT_OK(one);
  ASSERT_OK(other);
  ASSERT_NE(one->get(), other->get());
  const auto public_one = agreement_public_key(one->get());
  const auto public_other = agreement_public_key(other->get());
  ASSERT_OK(public_one);
  ASSERT_OK(public_other);
  const auto shared = agree(one->get(), *public_other);
  const auto shared_back = agree(other->get(), *public_one);
  ASSERT_OK(shared);
  ASSERT_OK(shared_back);
  EXPECT_EQ(shared->get(), shared_back->get());
  EXPECT_EQ(shared->get().size(), 32U);
}

TEST(KeyAgreementTest, RefusesKeysByWhichAllComeToZeros) {
  const auto key = make_agreement_key();
  ASSERT_OK(key);
  // Points of order 1, 4 and 8 (RFC 7748, 7).
  for (const std::string_view point :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"}) {
    EXPECT_KIND(agree(key->get(), public_key_from(point)), corrupt);
  }
}

TEST(KeyAgreementTest, ReadsPem) {
  EXPECT_TRUE(is_pem(pem_bytes(private_pem)));
  EXPECT_TRUE(is_pem(pem_bytes(public_pem)));
  const auto private_key = agreement_key_from_pem(pem_bytes(private_pem));
  ASSERT_OK(private_key);
  EXPECT_EQ(hex(private_key->get()),
            "383f6084cfbf142cbca58373de699cb40c31bec74e9ecb6d6b8d2794717af663");
  const auto public_key = agreement_public_key_from_pem(pem_bytes(public_pem));
  ASSERT_OK(public_key);
  EXPECT_EQ(hex(*public_key), "b7ea7cc1ec3a8d0a31711ed27b933ea75d6ace7ed0afff464857cc849354ae28");
  const auto of_private = agreement_public_key(private_key->get());
  ASSERT_OK(of_private);
  EXPECT_EQ(*of_private, *public_key);
}

TEST(KeyAgreementTest, RefusesOtherPem) {
  EXPECT_FALSE(is_pem(pem_bytes("0123456789abcdef")));
  EXPECT_FALSE(is_pem({}));
  EXPECT_KIND(agreement_key_from_pem(pem_bytes(public_pem)), invalid_argument);
  EXPECT_KIND(agreement_key_from_pem(pem_bytes(encrypted_pem)), invalid_argument);
  EXPECT_KIND(agreement_key_from_pem(pem_bytes(x448_pem)), invalid_argument);
  EXPECT_KIND(agreement_key_from_pem({}), invalid_argument);
  const auto mistaken = agreement_public_key_from_pem(pem_bytes(private_pem));
  EXPECT_KIND(mistaken, invalid_argument);
  EXPECT_EQ(mistaken.error().cause(), "that is a private key, not its public half");
  EXPECT_KIND(agreement_public_key_from_pem(pem_bytes("-----BEGIN PUBLIC KEY-----\n")),
              invalid_argument);
}

TEST(KeyAgreementTest, RefusesKeysOfAnotherSize) {
  const std::vector<std::byte> short_key(31);
  EXPECT_KIND(agreement_public_key(short_key), invalid_argument);
  EXPECT_KIND(agree(short_key, AgreementPublicKey{}), invalid_argument);
}

} // namespace
} // namespace vnvram::test
