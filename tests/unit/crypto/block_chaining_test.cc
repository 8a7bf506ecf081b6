// AES-CBC: the vectors of NIST SP 800-38A, and what it refuses.
#include "crypto/block_chaining.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

// F.2.1 and F.2.5: two blocks each.
struct Sample {
  std::string_view key;
  std::string_view encrypted;
};
constexpr std::string_view plain =
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
constexpr Sample samples[] = {{"2b7e151628aed2a6abf7158809cf4f3c",
                               "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
                              {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                               "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"}};

ChainingVector sample_vector() {
  ChainingVector vector{};
  for (std::size_t at = 0; at < vector.size(); ++at) {
    vector.at(at) = static_cast<std::byte>(at);
  }
  return vector;
}

TEST(BlockChainingTest, HasTheVectorsOfItsSpecification) {
  for (const Sample& sample : samples) {
    std::vector<std::byte> bytes = *parse_hex(plain);
    ASSERT_OK(encrypt_chained(*parse_hex(sample.key), sample_vector(), bytes));
    EXPECT_EQ(hex(bytes), sample.encrypted);
    ASSERT_OK(decrypt_chained(*parse_hex(sample.key), sample_vector(), bytes));
    EXPECT_EQ(hex(bytes), plain);
  }
}

TEST(BlockChainingTest, TakesWholeBlocksAndKeysOnly) {
  std::vector<std::byte> bytes(17);
  const std::vector<std::byte> key(32);
  EXPECT_KIND(encrypt_chained(key, {}, bytes), invalid_argument);
  EXPECT_KIND(decrypt_chained(key, {}, bytes), invalid_argument);
  bytes.resize(16);
  EXPECT_KIND(encrypt_chained(std::span(key).first(31), {}, bytes), invalid_argument);
  EXPECT_KIND(decrypt_chained({}, {}, bytes), invalid_argument);
  bytes.clear();
  ASSERT_OK(encrypt_chained(key, {}, bytes));
}

} // namespace
} // namespace vnvram::test
