#include "convert/swtpm_state_file.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "soft_tpm/soft_tpm.h"
#include "support/expect_status.h"
#include "unit/convert/swtpm_samples.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t wrapping_bytes = 16; // Of what is not encrypted.

Bytes bare_state() {
  const Bytes plain = swtpm_sample("file_plain.bin");
  return {plain.begin() + wrapping_bytes, plain.end()};
}

bool is_state(const SecretBytes& bytes) {
  SoftTpm tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0),
              std::vector<Bytes>(tpm_state_count), Manufacture::forbidden);
  return tpm.set_state(TpmState::permanent, bytes.get()) == tpm_success;
}

struct KeyedSample {
  std::string name;
  SwtpmKey key;
};

std::vector<KeyedSample> keyed_samples() {
  std::vector<KeyedSample> samples;
  samples.push_back({"file_key_128.bin", key_of_128_bits()});
  samples.push_back({"file_key_256.bin", key_of_256_bits()});
  samples.push_back({"file_passphrase_256.bin", key_of_passphrase()});
  samples.push_back({"file_first_version_key_128.bin", key_of_128_bits()});
  return samples;
}

TEST(SwtpmStateFileTest, OpensWhatSwtpmMakes) {
  const Bytes plain = swtpm_sample("file_plain.bin");
  const auto state = SwtpmStateFile::unwrap(plain, nullptr);
  ASSERT_OK(state);
  EXPECT_EQ(state->get(), bare_state());
  EXPECT_TRUE(is_state(*state));
  for (const KeyedSample& sample : keyed_samples()) {
    const auto opened = SwtpmStateFile::unwrap(swtpm_sample(sample.name), &sample.key);
    ASSERT_OK(opened);
    EXPECT_TRUE(is_state(*opened)) << sample.name;
  }
}

TEST(SwtpmStateFileTest, MakesWhatSwtpmMakes) {
  const Bytes plain = swtpm_sample("file_plain.bin");
  EXPECT_EQ(SwtpmStateFile::wrap(bare_state(), nullptr).value(), plain);
  // All but what is random: header, tags and lengths.
  for (const auto& [name, key] : {std::pair("file_key_128.bin", key_of_128_bits()),
                                  {"file_key_256.bin", key_of_256_bits()}}) {
    const Bytes theirs = swtpm_sample(name);
    const auto opened = SwtpmStateFile::unwrap(theirs, &key);
    ASSERT_OK(opened);
    const auto ours = SwtpmStateFile::wrap(opened->get(), &key);
    ASSERT_OK(ours);
    EXPECT_EQ(ours->size(), theirs.size()) << name;
    EXPECT_TRUE(std::equal(theirs.begin(), theirs.begin() + wrapping_bytes, ours->begin())) << name;
    const auto again = SwtpmStateFile::unwrap(*ours, &key);
    ASSERT_OK(again);
    EXPECT_EQ(again->get(), opened->get());
  }
}

TEST(SwtpmStateFileTest, TheFirstVersionHasNoTags) {
  const Bytes bare = bare_state();
  EXPECT_EQ(SwtpmStateFile::unwrap(bare, nullptr)->get(), bare);
  Bytes old = from_hex("0101 000a 0000 00000000");
  old.insert(old.end(), bare.begin(), bare.end());
  store_big_endian(std::span(old), 6, static_cast<std::uint32_t>(old.size()));
  EXPECT_EQ(SwtpmStateFile::unwrap(old, nullptr)->get(), bare);
  const SwtpmKey key = key_of_128_bits();
  EXPECT_KIND(SwtpmStateFile::unwrap(bare, &key), wrong_key);
  EXPECT_KIND(SwtpmStateFile::unwrap(old, &key), wrong_key);

  const Bytes encrypted = swtpm_sample("file_first_version_key_128.bin");
  Bytes old_encrypted = from_hex("0101 000a 0001 00000000");
  old_encrypted.insert(old_encrypted.end(), encrypted.begin(), encrypted.end());
  store_big_endian(std::span(old_encrypted), 6, static_cast<std::uint32_t>(old_encrypted.size()));
  EXPECT_EQ(SwtpmStateFile::unwrap(old_encrypted, &key)->get(), bare);
  EXPECT_KIND(SwtpmStateFile::unwrap(old_encrypted, nullptr), key_needed);
  old_encrypted[5] = std::byte{0}; // The flag was not always set.
  EXPECT_EQ(SwtpmStateFile::unwrap(old_encrypted, &key)->get(), bare);
  EXPECT_KIND(SwtpmStateFile::unwrap(encrypted, nullptr), corrupt);
}

TEST(SwtpmStateFileTest, TellsKeysApart) {
  const SwtpmKey other = swtpm_key("ffffffffffffffffffffffffffffffff");
  const SwtpmKey other_long = key_of_passphrase();
  EXPECT_KIND(SwtpmStateFile::unwrap(swtpm_sample("file_key_128.bin"), nullptr), key_needed);
  EXPECT_KIND(SwtpmStateFile::unwrap(swtpm_sample("file_key_256.bin"), nullptr), key_needed);
  EXPECT_KIND(SwtpmStateFile::unwrap(swtpm_sample("file_key_128.bin"), &other), wrong_key);
  EXPECT_KIND(SwtpmStateFile::unwrap(swtpm_sample("file_key_256.bin"), &other_long), wrong_key);
  // swtpm refuses a key for what is plain.
  EXPECT_KIND(SwtpmStateFile::unwrap(swtpm_sample("file_plain.bin"), &other), wrong_key);
  EXPECT_KIND(SwtpmStateFile::unwrap(swtpm_sample("file_plain.bin"), &other_long), wrong_key);
  // The lengths say what is missing.
  const auto short_one = SwtpmStateFile::unwrap(swtpm_sample("file_key_256.bin"), &other);
  EXPECT_KIND(short_one, wrong_key);
  EXPECT_NE(short_one.error().text().find("256"), std::string::npos);
  EXPECT_NE(short_one.error().text().find("aes-256-cbc"), std::string::npos);
  // Without the flag the tags say it.
  Bytes unflagged = swtpm_sample("file_key_128.bin");
  unflagged[5] = std::byte{0};
  EXPECT_KIND(SwtpmStateFile::unwrap(unflagged, nullptr), key_needed);
}

TEST(SwtpmStateFileTest, EveryCutIsRefused) {
  const Bytes plain = swtpm_sample("file_plain.bin");
  for (std::size_t size = 0; size < plain.size(); ++size) {
    EXPECT_KIND(SwtpmStateFile::unwrap(std::span(plain).first(size), nullptr), corrupt);
  }
  for (const KeyedSample& sample : keyed_samples()) {
    const Bytes whole = swtpm_sample(sample.name);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto cut = SwtpmStateFile::unwrap(std::span(whole).first(size), &sample.key);
      ASSERT_FALSE(cut.ok()) << sample.name << " " << size;
    }
  }
}

TEST(SwtpmStateFileTest, EveryCutThatTheHeaderAgreesToIsRefused) {
  const SwtpmKey key = key_of_128_bits();
  for (const char* name : {"file_plain.bin", "file_key_128.bin"}) {
    const Bytes whole = swtpm_sample(name);
    const SwtpmKey* const used = std::string(name) == "file_plain.bin" ? nullptr : &key;
    for (std::size_t size = 10; size < whole.size(); ++size) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      store_big_endian(std::span(cut), 6, static_cast<std::uint32_t>(size));
      ASSERT_FALSE(SwtpmStateFile::unwrap(cut, used).ok()) << name << " " << size;
    }
  }
}

TEST(SwtpmStateFileTest, AnyChangeOfWhatIsEncryptedIsSeen) {
  const SwtpmKey key = key_of_256_bits();
  const Bytes whole = swtpm_sample("file_key_256.bin");
  for (std::size_t at = 2; at < whole.size(); ++at) {
    if (at == 4) {
      continue; // Flags that nobody has a meaning for.
    }
    Bytes changed = whole;
    changed[at] ^= std::byte{0x08};
    EXPECT_FALSE(SwtpmStateFile::unwrap(changed, &key).ok()) << at;
  }
}

TEST(SwtpmStateFileTest, NoLengthIsTrusted) {
  for (const std::uint32_t length : {0xffffffffU, 0x80000000U, 0xfffffffaU, 2000U}) {
    Bytes lying = swtpm_sample("file_plain.bin");
    store_big_endian(std::span(lying), 12, length);
    EXPECT_KIND(SwtpmStateFile::unwrap(lying, nullptr), corrupt);
    lying = swtpm_sample("file_plain.bin");
    store_big_endian(std::span(lying), 6, length);
    EXPECT_KIND(SwtpmStateFile::unwrap(lying, nullptr), corrupt);
  }
}

TEST(SwtpmStateFileTest, WithoutEitherTagThereIsNothing) {
  const SwtpmKey key = key_of_128_bits();
  const Bytes header_alone = from_hex("0201 000a 0000 0000000a");
  EXPECT_KIND(SwtpmStateFile::unwrap(header_alone, nullptr), corrupt);
  EXPECT_KIND(SwtpmStateFile::unwrap(header_alone, &key), corrupt);
  const Bytes other_tag = from_hex("0201 000a 0000 00000012 0009 00000002 abcd");
  EXPECT_KIND(SwtpmStateFile::unwrap(other_tag, nullptr), corrupt);
  EXPECT_KIND(SwtpmStateFile::unwrap(other_tag, &key), corrupt);
  // Encrypted, and nothing that proves it.
  const Bytes unproven = from_hex("0201 000a 0001 00000020 0002 00000010"
                                  "00000000000000000000000000000000");
  EXPECT_KIND(SwtpmStateFile::unwrap(unproven, &key), corrupt);
  EXPECT_KIND(SwtpmStateFile::unwrap(unproven, nullptr), key_needed);
}

TEST(SwtpmStateFileTest, ANewerFormatIsRefused) {
  Bytes newer = swtpm_sample("file_plain.bin");
  newer[0] = newer[1] = std::byte{3};
  EXPECT_KIND(SwtpmStateFile::unwrap(newer, nullptr), too_new);
  newer[1] = std::byte{2}; // A version that says that we can read it.
  ASSERT_OK(SwtpmStateFile::unwrap(newer, nullptr));
}

} // namespace
} // namespace vnvram::test
