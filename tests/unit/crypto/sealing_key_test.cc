// XAES-256-GCM: the vectors of its specification, and bytes that are not what was sealed.
#include "crypto/sealing_key.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes text_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

SealingKey::Nonce nonce_of(std::string_view text) {
  SealingKey::Nonce nonce{};
  std::ranges::copy(std::as_bytes(std::span(text)), nonce.begin());
  return nonce;
}

SealingKey key_of(unsigned char each) {
  Result<SealingKey> key = SealingKey::make(Bytes(SealingKey::key_size_bytes, std::byte{each}));
  EXPECT_TRUE(key.ok());
  return *std::move(key);
}

/// What is sealed, and the tag behind it, as the specification writes it.
std::string sealed(const SealingKey& key, std::string_view plain, std::string_view data) {
  Bytes bytes = text_bytes(plain);
  SealingKey::Tag tag{};
  EXPECT_OK(key.seal(nonce_of("ABCDEFGHIJKLMNOPQRSTUVWX"), text_bytes(data), bytes, tag));
  return hex(bytes) + hex(tag);
}

TEST(SealingKeyTest, HasTheVectorsOfItsSpecification) {
  // In the first one the subkey's highest bit is 0 before it is doubled, in the second one it is 1.
  EXPECT_EQ(sealed(key_of(1), "XAES-256-GCM", ""),
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  EXPECT_EQ(sealed(key_of(3), "XAES-256-GCM", "c2sp.org/XAES-256-GCM"),
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

TEST(SealingKeyTest, GivesBackWhatWasSealed) {
  const SealingKey key = key_of(7);
  for (const std::size_t size_bytes : {0U, 1U, 15U, 16U, 17U, 4096U, 70001U}) {
    Bytes plain(size_bytes);
    for (std::size_t place = 0; place < plain.size(); ++place) {
      plain[place] = static_cast<std::byte>(place * 31 / 7);
    }
    Bytes bytes = plain;
    const auto nonce = SealingKey::make_nonce();
    ASSERT_OK(nonce);
    SealingKey::Tag tag{};
    ASSERT_OK(key.seal(*nonce, text_bytes("page 7"), bytes, tag));
    if (size_bytes >= 15) {
      EXPECT_NE(bytes, plain);
    }
    ASSERT_OK(key.open(*nonce, text_bytes("page 7"), bytes, tag));
    EXPECT_EQ(bytes, plain);
  }
}

TEST(SealingKeyTest, NothingButWhatWasSealedIsOpened) {
  const SealingKey key = key_of(1);
  const SealingKey::Nonce nonce = nonce_of("ABCDEFGHIJKLMNOPQRSTUVWX");
  const Bytes data = text_bytes("store, place, kind");
  Bytes sealed_bytes = text_bytes("the key of a machine");
  SealingKey::Tag sealed_tag{};
  ASSERT_OK(key.seal(nonce, data, sealed_bytes, sealed_tag));
  const auto expect_refused = [&](const SealingKey& by, const SealingKey::Nonce& with,
                                  const Bytes& for_data, Bytes bytes, const SealingKey::Tag& tag) {
    EXPECT_KIND(by.open(with, for_data, bytes, tag), corrupt);
    EXPECT_EQ(bytes, Bytes(bytes.size())); // Not even by mistake.
  };
  const auto flipped = [](auto bytes, std::size_t bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    return bytes;
  };
  for (std::size_t bit = 0; bit < 8 * nonce.size(); ++bit) {
    expect_refused(key, flipped(nonce, bit), data, sealed_bytes, sealed_tag);
  }
  for (std::size_t bit = 0; bit < 8 * sealed_tag.size(); ++bit) {
    expect_refused(key, nonce, data, sealed_bytes, flipped(sealed_tag, bit));
  }
  for (std::size_t bit = 0; bit < 8 * data.size(); ++bit) {
    expect_refused(key, nonce, flipped(data, bit), sealed_bytes, sealed_tag);
  }
  for (std::size_t bit = 0; bit < 8 * sealed_bytes.size(); ++bit) {
    expect_refused(key, nonce, data, flipped(sealed_bytes, bit), sealed_tag);
  }
  expect_refused(key_of(2), nonce, data, sealed_bytes, sealed_tag);
  expect_refused(key, nonce, {}, sealed_bytes, sealed_tag);
  Bytes shorter = sealed_bytes;
  shorter.pop_back();
  expect_refused(key, nonce, data, shorter, sealed_tag);
  ASSERT_OK(key.open(nonce, data, sealed_bytes, sealed_tag));
}

TEST(SealingKeyTest, AKeyHas32Bytes) {
  EXPECT_KIND(SealingKey::make(Bytes(31)), invalid_argument);
  EXPECT_KIND(SealingKey::make(Bytes(33)), invalid_argument);
  EXPECT_KIND(SealingKey::make({}), invalid_argument);
}

} // namespace
} // namespace vnvram::test
