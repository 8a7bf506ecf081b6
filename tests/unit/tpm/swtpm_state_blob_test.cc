#include "tpm/swtpm_state_blob.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "bytes.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

// What swtpm 0.7.1 of Debian 12 answered to CMD_GET_STATEBLOB, of TPMs that were just made.
Bytes from_swtpm(const std::string& name) {
  std::ifstream file(std::string(VNVRAM_SWTPM_BLOBS) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes copy(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(SwtpmStateBlob, OpensWhatSwtpmMakesAndMakesTheSame) {
  for (const char* name : {"tpm12_permanent.bin", "tpm2_permanent.bin"}) {
    const Bytes wrapped = from_swtpm(name);
    const auto unwrapped = SwtpmStateBlob::unwrap(wrapped);
    ASSERT_EQ(unwrapped.result, tpm_success) << name << unwrapped.reason;
    EXPECT_EQ(copy(unwrapped.state), Bytes(wrapped.begin() + 22, wrapped.end()));
    EXPECT_EQ(SwtpmStateBlob::wrap(unwrapped.state), wrapped) << name;
  }
}

TEST(SwtpmStateBlob, TheStateInsideIsOneThatLibtpmsTakes) {
  const Bytes wrapped = from_swtpm("tpm2_permanent.bin");
  const Bytes state = copy(SwtpmStateBlob::unwrap(wrapped).state);
  SoftTpm tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0),
              std::vector<Bytes>(tpm_state_count), Manufacture::allowed);
  EXPECT_NE(tpm.set_state(TpmState::permanent, wrapped), tpm_success);
  EXPECT_EQ(tpm.set_state(TpmState::permanent, state), tpm_success);
}

TEST(SwtpmStateBlob, BareStateIsTakenAsItIs) {
  const Bytes wrapped = from_swtpm("tpm2_permanent.bin");
  const Bytes bare(wrapped.begin() + 22, wrapped.end());
  const auto unwrapped = SwtpmStateBlob::unwrap(bare);
  EXPECT_EQ(unwrapped.result, tpm_success);
  EXPECT_EQ(unwrapped.state.data(), bare.data());
  EXPECT_EQ(unwrapped.state.size(), bare.size());
  const Bytes garbage = from_hex("5a5a5a5a5a5a5a5a5a5a5a5a"); // For libtpms to refuse.
  EXPECT_EQ(SwtpmStateBlob::unwrap(garbage).state.size(), garbage.size());
}

TEST(SwtpmStateBlob, NothingIsNothing) {
  EXPECT_TRUE(SwtpmStateBlob::wrap({}).empty());
  EXPECT_EQ(SwtpmStateBlob::unwrap({}).result, tpm_success);
  EXPECT_TRUE(SwtpmStateBlob::unwrap({}).state.empty());
  // As swtpm has it: a header alone, and a value of no bytes.
  for (const char* hex :
       {"0201 000a 0004 0000000a", "0201 000a 0004 00000016 0004 00000006 0001 00000000"}) {
    const Bytes empty = from_hex(hex);
    EXPECT_EQ(SwtpmStateBlob::unwrap(empty).result, tpm_success) << hex;
    EXPECT_TRUE(SwtpmStateBlob::unwrap(empty).state.empty()) << hex;
  }
}

TEST(SwtpmStateBlob, EncryptedStateIsRefusedAsSuch) {
  const Bytes migration = from_swtpm("tpm12_permanent_migration_key.bin");
  EXPECT_EQ(SwtpmStateBlob::unwrap(migration).result, tpm_key_not_found);
  EXPECT_NE(SwtpmStateBlob::unwrap(migration).reason.find("migration key"), std::string::npos);
  const Bytes state = from_swtpm("tpm12_permanent_state_key.bin");
  EXPECT_EQ(SwtpmStateBlob::unwrap(state).result, tpm_key_not_found);
  EXPECT_NE(SwtpmStateBlob::unwrap(state).reason.find("state's key"), std::string::npos);
  EXPECT_LT(migration.size(), 1191 + SwtpmStateBlob::wrapping_max_bytes);
  // Whatever the flags say: there is nothing to read.
  for (Bytes lying : {migration, state}) {
    lying[5] = std::byte{4};
    EXPECT_EQ(SwtpmStateBlob::unwrap(lying).result, tpm_key_not_found);
  }
}

TEST(SwtpmStateBlob, VersionOneHasNoTags) {
  const Bytes old = from_hex("0101 000a 0000 0000000c 00ab");
  EXPECT_EQ(to_hex(SwtpmStateBlob::unwrap(old).state), "00ab");
}

TEST(SwtpmStateBlob, ANewerFormatIsRefused) {
  Bytes newer = from_swtpm("tpm2_permanent.bin");
  newer[0] = newer[1] = std::byte{3};
  EXPECT_EQ(SwtpmStateBlob::unwrap(newer).result, tpm_bad_version);
  newer[1] = std::byte{2}; // A version that says that we can read it.
  EXPECT_EQ(SwtpmStateBlob::unwrap(newer).result, tpm_success);
}

TEST(SwtpmStateBlob, EveryCutIsRefused) {
  const Bytes whole = from_swtpm("tpm2_permanent.bin");
  for (std::size_t size = 10; size < whole.size(); ++size) {
    EXPECT_EQ(SwtpmStateBlob::unwrap(std::span(whole).first(size)).result, tpm_bad_parameter);
  }
}

TEST(SwtpmStateBlob, NoLengthIsTrusted) {
  const Bytes whole = from_swtpm("tpm2_permanent.bin");
  for (const std::size_t place : {std::size_t{12}, std::size_t{18}}) { // Of the two values.
    for (const std::uint32_t length : {0xffffffffU, 0x80000000U, 0xfffffffaU, 1322U}) {
      Bytes lying = whole;
      store_big_endian(std::span(lying), place, length);
      EXPECT_EQ(SwtpmStateBlob::unwrap(lying).result, tpm_fail) << place << " " << length;
    }
  }
  // In front of the value there may be others, which may be anything.
  EXPECT_EQ(to_hex(SwtpmStateBlob::unwrap(from_hex("0201 000a 0004 0000001f 0009 00000001 ff"
                                                   "0004 00000008 0001 00000002 00cd"))
                       .state),
            "00cd");
  EXPECT_EQ(SwtpmStateBlob::unwrap(from_hex("0201 000a 0004 0000000e 00040000")).result, tpm_fail);
}

} // namespace
} // namespace vnvram::test
