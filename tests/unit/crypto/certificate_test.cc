// Certificates and public keys: what openssl has made of the same numbers.
#include "crypto/certificate.h"

#include <gtest/gtest.h>

#include "support/bytes.h"
#include "support/certificate_samples.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

TEST(CertificateTest, HasItsSubjectsKey) {
  std::vector<std::byte> bytes = from_hex(certificate_der);
  const auto certificate = Certificate::parse(bytes);
  ASSERT_OK(certificate);
  EXPECT_EQ(certificate->der(), bytes);
  EXPECT_EQ(to_hex(certificate->public_key().der()), certified_key_der);
  bytes.resize(bytes.size() + 100); // An area may be larger.
  const auto in_front = Certificate::parse(bytes);
  ASSERT_OK(in_front);
  EXPECT_EQ(to_hex(in_front->der()), certificate_der);
  EXPECT_TRUE(in_front->pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
}

TEST(CertificateTest, RefusesWhatIsCutShort) {
  const std::vector<std::byte> bytes = from_hex(certificate_der);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(Certificate::parse(std::span(bytes).first(length)).ok()) << length;
  }
}

TEST(PublicKeyTest, IsMadeOfNumbers) {
  const auto on_curve =
      PublicKey::on_curve(Curve::p256, from_hex(certified_key_x), from_hex(certified_key_y));
  ASSERT_OK(on_curve);
  EXPECT_EQ(to_hex(on_curve->der()), certified_key_der);
  EXPECT_EQ(on_curve->pem(), "-----BEGIN PUBLIC KEY-----\n"
                             "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEll9NDrzkI+2JFwaDFCrbZnr5ES6j\n"
                             "MTnw99GzmOiye1seEqOMsNM6huK+uVjqvtVvqxwlQko/fTqphyjW+BCkRw==\n"
                             "-----END PUBLIC KEY-----\n");
  const auto rsa = PublicKey::rsa(from_hex(rsa_key_modulus), 65537);
  ASSERT_OK(rsa);
  EXPECT_EQ(to_hex(rsa->der()), rsa_key_der);
}

TEST(PublicKeyTest, RefusesNumbersThatAreNone) {
  EXPECT_FALSE(PublicKey::rsa({}, 65537).ok());
  std::vector<std::byte> x = from_hex(certified_key_x);
  const std::vector<std::byte> y = from_hex(certified_key_y);
  x.front() ^= std::byte{1};
  EXPECT_FALSE(PublicKey::on_curve(Curve::p256, x, y).ok()) << "it is not on the curve";
  x.resize(33);
  EXPECT_FALSE(PublicKey::on_curve(Curve::p256, x, y).ok()) << "a number is too long";
}

} // namespace
} // namespace vnvram::test
