#include "convert/swtpm_key.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "crypto/block_chaining.h"
#include "crypto/message_code.h"
#include "support/expect_status.h"
#include "unit/convert/swtpm_samples.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes counting(std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t at = 0; at < size_bytes; ++at) {
    bytes[at] = static_cast<std::byte>(at);
  }
  return bytes;
}

TEST(SwtpmKeyTest, OpensWhatItHasSealed) {
  for (const SwtpmKey& key : {key_of_128_bits(), key_of_256_bits()}) {
    for (const std::size_t size_bytes : {0U, 1U, 15U, 16U, 17U, 31U, 32U, 33U, 5000U}) {
      const Bytes bytes = counting(size_bytes);
      const auto sealed = key.seal(bytes);
      ASSERT_OK(sealed);
      EXPECT_EQ(sealed->bytes.size() % key.size_bytes(), 0);
      EXPECT_GT(sealed->bytes.size(), size_bytes);
      EXPECT_EQ(sealed->vector.size(), key.size_bytes());
      const auto opened = key.open(sealed->bytes, sealed->code, sealed->vector);
      ASSERT_OK(opened);
      EXPECT_EQ(opened->get(), bytes);
    }
  }
}

TEST(SwtpmKeyTest, TwiceTheSameIsNotTheSame) {
  const SwtpmKey key = key_of_128_bits();
  EXPECT_NE(key.seal(counting(16))->bytes, key.seal(counting(16))->bytes);
}

TEST(SwtpmKeyTest, AnyChangeIsSeen) {
  const SwtpmKey key = key_of_256_bits();
  const SwtpmKey::Sealed sealed = key.seal(counting(40)).value();
  EXPECT_KIND(key_of_passphrase().open(sealed.bytes, sealed.code, sealed.vector), wrong_key);
  for (Bytes SwtpmKey::Sealed::*const part :
       {&SwtpmKey::Sealed::bytes, &SwtpmKey::Sealed::code, &SwtpmKey::Sealed::vector}) {
    for (std::size_t at = 0; at < (sealed.*part).size(); ++at) {
      SwtpmKey::Sealed changed = sealed;
      (changed.*part)[at] ^= std::byte{1};
      EXPECT_KIND(key.open(changed.bytes, changed.code, changed.vector), wrong_key);
    }
    for (std::size_t size_bytes = 0; size_bytes < (sealed.*part).size(); ++size_bytes) {
      SwtpmKey::Sealed cut = sealed;
      (cut.*part).resize(size_bytes);
      EXPECT_FALSE(key.open(cut.bytes, cut.code, cut.vector).ok());
    }
  }
  EXPECT_KIND(key.open(sealed.bytes, sealed.code, std::nullopt), wrong_key);
}

// Whoever has the key may have written anything.
TEST(SwtpmKeyTest, WhatIsProvenIsStillChecked) {
  const SwtpmKey key = key_of_128_bits();
  const MessageCodeKey coder = MessageCodeKey::make(key.bytes()).value();
  const auto open = [&](Bytes plain, const Bytes& vector) {
    EXPECT_TRUE(encrypt_chained(key.bytes(), {}, plain).ok());
    Bytes message = plain;
    message.insert(message.end(), vector.begin(), vector.end());
    return key.open(plain, coder.code(message), vector);
  };
  const Bytes zero_vector(16);
  EXPECT_KIND(open(Bytes(32), zero_vector), corrupt);                // No padding.
  EXPECT_KIND(open(Bytes(32, std::byte{17}), zero_vector), corrupt); // Too much of it.
  EXPECT_KIND(open(Bytes(16, std::byte{16}), Bytes(32)), corrupt);   // Another key's vector.
  EXPECT_KIND(open(Bytes(), zero_vector), corrupt);                  // Nothing at all.
  Bytes uneven(16, std::byte{3});
  uneven[13] = std::byte{2};
  EXPECT_KIND(open(uneven, zero_vector), corrupt);
  ASSERT_OK(open(Bytes(16, std::byte{16}), zero_vector));
  // No whole blocks.
  EXPECT_KIND(key.open(counting(17), coder.code(counting(17)), std::nullopt), corrupt);
}

TEST(SwtpmKeyTest, WithoutAVectorItWasZero) {
  const SwtpmKey key = key_of_128_bits();
  Bytes bytes(16, std::byte{6});
  std::fill_n(bytes.begin(), 10, std::byte{0xab});
  ASSERT_OK(encrypt_chained(key.bytes(), {}, bytes));
  const auto code = MessageCodeKey::make(key.bytes())->code(bytes);
  const auto opened = key.open(bytes, code, std::nullopt);
  ASSERT_OK(opened);
  EXPECT_EQ(opened->get(), Bytes(10, std::byte{0xab}));
}

TEST(SwtpmKeyTest, TheFirstVersionHasADigestInstead) {
  const Bytes old = swtpm_sample("file_first_version_key_128.bin");
  const auto opened = key_of_128_bits().open_first_version(old);
  ASSERT_OK(opened);
  const Bytes plain = swtpm_sample("file_plain.bin");
  EXPECT_EQ(opened->get(), Bytes(plain.begin() + 16, plain.end()));
  EXPECT_KIND(swtpm_key("00112233445566778899aabbccddee00").open_first_version(old), wrong_key);
  EXPECT_KIND(key_of_256_bits().open_first_version(old), wrong_key);
  for (std::size_t size_bytes = 0; size_bytes < old.size(); ++size_bytes) {
    EXPECT_KIND(key_of_128_bits().open_first_version(std::span(old).first(size_bytes)), wrong_key);
  }
  for (std::size_t at = 0; at < old.size(); at += 7) {
    Bytes changed = old;
    changed[at] ^= std::byte{0x80};
    EXPECT_KIND(key_of_128_bits().open_first_version(changed), wrong_key);
  }
}

TEST(SwtpmKeyTest, HasTwoSizes) {
  for (const std::size_t size_bytes : {0U, 15U, 17U, 24U, 31U, 33U}) {
    EXPECT_KIND(SwtpmKey::make(SecretBytes(counting(size_bytes))), invalid_argument);
  }
}

} // namespace
} // namespace vnvram::test
