#include "convert/swtpm_state_blob.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "soft_tpm/soft_tpm.h"
#include "support/expect_status.h"
#include "unit/convert/swtpm_samples.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

SwtpmStateBlob::Unwrapped unwrap(std::span<const std::byte> bytes) {
  return SwtpmStateBlob::unwrap(bytes, {}, false);
}

TEST(SwtpmStateBlob, OpensWhatSwtpmMakesAndMakesTheSame) {
  for (const char* name : {"tpm12_permanent.bin", "tpm2_permanent.bin"}) {
    const Bytes wrapped = swtpm_sample(name);
    const auto unwrapped = unwrap(wrapped);
    ASSERT_EQ(unwrapped.result, tpm_success) << name << unwrapped.reason;
    EXPECT_EQ(unwrapped.state.get(), Bytes(wrapped.begin() + 22, wrapped.end()));
    EXPECT_EQ(SwtpmStateBlob::wrap(unwrapped.state.get()), wrapped) << name;
  }
}

TEST(SwtpmStateBlob, TheStateInsideIsOneThatLibtpmsTakes) {
  const Bytes wrapped = swtpm_sample("tpm2_permanent.bin");
  const Bytes state = unwrap(wrapped).state.get();
  SoftTpm tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0),
              std::vector<Bytes>(tpm_state_count), Manufacture::allowed);
  EXPECT_NE(tpm.set_state(TpmState::permanent, wrapped), tpm_success);
  EXPECT_EQ(tpm.set_state(TpmState::permanent, state), tpm_success);
}

TEST(SwtpmStateBlob, BareStateIsTakenAsItIs) {
  const Bytes wrapped = swtpm_sample("tpm2_permanent.bin");
  const Bytes bare(wrapped.begin() + 22, wrapped.end());
  const auto unwrapped = unwrap(bare);
  EXPECT_EQ(unwrapped.result, tpm_success);
  EXPECT_EQ(unwrapped.state.get(), bare);
  const Bytes garbage = from_hex("5a5a5a5a5a5a5a5a5a5a5a5a"); // For libtpms to refuse.
  EXPECT_EQ(unwrap(garbage).state.get(), garbage);
}

TEST(SwtpmStateBlob, NothingIsNothing) {
  EXPECT_TRUE(SwtpmStateBlob::wrap({}).empty());
  EXPECT_EQ(unwrap({}).result, tpm_success);
  EXPECT_TRUE(unwrap({}).state.get().empty());
  // As swtpm has it: a header alone, and a value of no bytes.
  for (const char* hex :
       {"0201 000a 0004 0000000a", "0201 000a 0004 00000016 0004 00000006 0001 00000000"}) {
    const Bytes empty = from_hex(hex);
    EXPECT_EQ(unwrap(empty).result, tpm_success) << hex;
    EXPECT_TRUE(unwrap(empty).state.get().empty()) << hex;
  }
}

TEST(SwtpmStateBlob, EncryptedStateIsRefusedAsSuch) {
  const Bytes migration = swtpm_sample("tpm12_permanent_migration_key.bin");
  EXPECT_EQ(unwrap(migration).result, tpm_key_not_found);
  EXPECT_NE(unwrap(migration).reason.find("migration key"), std::string::npos);
  const Bytes state = swtpm_sample("tpm12_permanent_state_key.bin");
  EXPECT_EQ(unwrap(state).result, tpm_key_not_found);
  EXPECT_NE(unwrap(state).reason.find("state's key"), std::string::npos);
  EXPECT_LT(migration.size(), 1191 + SwtpmStateBlob::wrapping_max_bytes);
  // Whatever the flags say: there is nothing to read.
  for (Bytes lying : {migration, state}) {
    lying[5] = std::byte{4};
    EXPECT_EQ(unwrap(lying).result, tpm_key_not_found);
  }
}

// Of a process that had these keys, asked for state as it is in its file.
template <typename Use> void with_each_keyed_sample(const Use& use) {
  const SwtpmKey short_key = key_of_128_bits();
  const SwtpmKey long_key = key_of_256_bits();
  const SwtpmKey passphrase = key_of_passphrase();
  use("wire_migration_128.bin", SwtpmStateBlob::Keys{&short_key, nullptr});
  use("wire_migration_256.bin", SwtpmStateBlob::Keys{&long_key, nullptr});
  use("wire_state_256.bin", SwtpmStateBlob::Keys{nullptr, &long_key});
  use("wire_both.bin", SwtpmStateBlob::Keys{&passphrase, &long_key});
}

TEST(SwtpmStateBlob, OpensWhatSwtpmEncryptsAndMakesTheLike) {
  with_each_keyed_sample([](const std::string& name, const SwtpmStateBlob::Keys& keys) {
    const Bytes theirs = swtpm_sample(name);
    const auto opened = SwtpmStateBlob::unwrap(theirs, keys, keys.state != nullptr);
    ASSERT_EQ(opened.result, tpm_success) << name << opened.reason;
    SoftTpm tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0),
                std::vector<Bytes>(tpm_state_count), Manufacture::forbidden);
    EXPECT_EQ(tpm.set_state(TpmState::permanent, opened.state.get()), tpm_success) << name;
    const auto ours = SwtpmStateBlob::wrap(opened.state.get(), keys);
    ASSERT_OK(ours);
    EXPECT_EQ(ours->size(), theirs.size()) << name;
    EXPECT_TRUE(std::equal(theirs.begin(), theirs.begin() + 16, ours->begin())) << name;
    EXPECT_EQ(SwtpmStateBlob::unwrap(*ours, keys, false).state.get(), opened.state.get());
    EXPECT_LT(theirs.size(), opened.state.get().size() + SwtpmStateBlob::wrapping_max_bytes);
  });
}

TEST(SwtpmStateBlob, AnswersAsSwtpmForWantOfAKey) {
  with_each_keyed_sample([](const std::string& name, const SwtpmStateBlob::Keys& keys) {
    const Bytes wrapped = swtpm_sample(name);
    EXPECT_EQ(unwrap(wrapped).result, tpm_key_not_found) << name;
    const SwtpmKey other = swtpm_key("ffffffffffffffffffffffffffffffff");
    const SwtpmKey other_long = swtpm_key("ffffffffffffffffffffffffffffffff"
                                          "ffffffffffffffffffffffffffffffff");
    for (const SwtpmKey* wrong : {&other, &other_long}) {
      const SwtpmStateBlob::Keys mixed = {keys.migration != nullptr ? wrong : nullptr,
                                          keys.migration != nullptr ? keys.state : wrong};
      const auto refused = SwtpmStateBlob::unwrap(wrapped, mixed, false);
      EXPECT_EQ(refused.result, tpm_decrypt_error) << name;
      EXPECT_TRUE(refused.state.get().empty());
    }
    for (std::size_t size = 10; size < wrapped.size(); ++size) {
      Bytes cut(wrapped.begin(), wrapped.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_NE(SwtpmStateBlob::unwrap(cut, keys, false).result, tpm_success) << name << size;
      store_big_endian(std::span(cut), 6, static_cast<std::uint32_t>(size));
      const auto agreed = SwtpmStateBlob::unwrap(cut, keys, false);
      EXPECT_TRUE(agreed.result != tpm_success || agreed.state.get().empty()) << name << size;
    }
  });
}

// So that machines move from hosts without keys to hosts with them.
TEST(SwtpmStateBlob, WhatIsPlainIsTakenBesideKeys) {
  const SwtpmKey key = key_of_128_bits();
  const Bytes wrapped = swtpm_sample("tpm2_permanent.bin");
  const auto opened = SwtpmStateBlob::unwrap(wrapped, {&key, &key}, false);
  EXPECT_EQ(opened.result, tpm_success) << opened.reason;
  EXPECT_EQ(opened.state.get(), unwrap(wrapped).state.get());
  // Who sends it says that it is encrypted.
  EXPECT_EQ(SwtpmStateBlob::unwrap(wrapped, {}, true).result, tpm_key_not_found);
  EXPECT_EQ(SwtpmStateBlob::unwrap(wrapped, {nullptr, &key}, true).result, tpm_fail);
}

TEST(SwtpmStateBlob, VersionOneHasNoTags) {
  const Bytes old = from_hex("0101 000a 0000 0000000c 00ab");
  EXPECT_EQ(to_hex(unwrap(old).state.get()), "00ab");
}

TEST(SwtpmStateBlob, ANewerFormatIsRefused) {
  Bytes newer = swtpm_sample("tpm2_permanent.bin");
  newer[0] = newer[1] = std::byte{3};
  EXPECT_EQ(unwrap(newer).result, tpm_bad_version);
  newer[1] = std::byte{2}; // A version that says that we can read it.
  EXPECT_EQ(unwrap(newer).result, tpm_success);
}

TEST(SwtpmStateBlob, EveryCutIsRefused) {
  const Bytes whole = swtpm_sample("tpm2_permanent.bin");
  for (std::size_t size = 10; size < whole.size(); ++size) {
    EXPECT_EQ(unwrap(std::span(whole).first(size)).result, tpm_bad_parameter);
  }
}

TEST(SwtpmStateBlob, NoLengthIsTrusted) {
  const Bytes whole = swtpm_sample("tpm2_permanent.bin");
  for (const std::size_t place : {std::size_t{12}, std::size_t{18}}) { // Of the two values.
    for (const std::uint32_t length : {0xffffffffU, 0x80000000U, 0xfffffffaU, 1322U}) {
      Bytes lying = whole;
      store_big_endian(std::span(lying), place, length);
      EXPECT_EQ(unwrap(lying).result, tpm_fail) << place << " " << length;
    }
  }
  // In front of the value there may be others, which may be anything.
  EXPECT_EQ(to_hex(unwrap(from_hex("0201 000a 0004 0000001f 0009 00000001 ff"
                                   "0004 00000008 0001 00000002 00cd"))
                       .state.get()),
            "00cd");
  EXPECT_EQ(unwrap(from_hex("0201 000a 0004 0000000e 00040000")).result, tpm_fail);
}

} // namespace
} // namespace vnvram::test
