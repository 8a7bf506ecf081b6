// SHA-256 and SHA-512: FIPS 180-4's example.
#include "crypto/digest.h"

#include <string_view>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

TEST(DigestTest, HasTheVectorsOfItsSpecification) {
  const auto bytes = std::as_bytes(std::span(std::string_view("abc")));
  const auto short_one = sha256(bytes);
  ASSERT_OK(short_one);
  EXPECT_EQ(hex(*short_one), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto long_one = sha512(bytes);
  ASSERT_OK(long_one);
  EXPECT_EQ(hex(long_one->get()),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

} // namespace
} // namespace vnvram::test
