#include "content/content_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "soft_tpm/soft_tpm.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

/// As check_content sees it: in a blob that is large enough.
Result<CheckedContent> check(std::string_view type, const Bytes& bytes) {
  return check_content(type, blob_size_max_bytes, bytes, "FILE");
}

void expect_refused(std::string_view type, const Bytes& bytes, const std::string& cause) {
  const auto checked = check(type, bytes);
  ASSERT_FALSE(checked.ok()) << type << " is " << cause;
  EXPECT_EQ(checked.error().kind(), ErrorKind::invalid_argument) << checked.error().text();
  EXPECT_TRUE(checked.error().cause().starts_with("FILE: ")) << checked.error().text();
  EXPECT_NE(checked.error().cause().find(cause), std::string::npos) << checked.error().text();
  EXPECT_FALSE(checked.error().remedy().empty());
}

/// The states of a TPM that has started up, by TpmState.
std::array<Bytes, tpm_state_count> states_of_a_tpm(TpmVersion version) {
  SoftTpm tpm(version, tpm_blob_specs(version), std::vector<Bytes>(tpm_state_count),
              Manufacture::allowed);
  EXPECT_TRUE(tpm.power_on(Startup::clear).ok());
  std::array<Bytes, tpm_state_count> states;
  if (version == TpmVersion::tpm1_2) { // A TPM 2.0 has no state of this kind.
    Bytes save_state = bytes_of(std::string_view("\x00\xc1\x00\x00\x00\x0a\x00\x00\x00\x98", 10));
    EXPECT_TRUE(tpm.execute(save_state, 0, [] { return true; }));
  }
  for (std::size_t index = 0; index < tpm_state_count; ++index) {
    const auto state = static_cast<TpmState>(index);
    EXPECT_EQ(tpm.get_state(state, states.at(index)), tpm_success);
    EXPECT_EQ(states.at(index).empty(),
              version == TpmVersion::tpm2_0 && state == TpmState::save_state);
  }
  return states;
}

class TpmContent : public testing::TestWithParam<TpmVersion> {
protected:
  [[nodiscard]] static std::string type(TpmState state) { return tpm_blob_type(GetParam(), state); }
  [[nodiscard]] static std::string version_name() {
    return GetParam() == TpmVersion::tpm2_0 ? "TPM 2.0" : "TPM 1.2";
  }
};

INSTANTIATE_TEST_SUITE_P(Versions, TpmContent,
                         testing::Values(TpmVersion::tpm2_0, TpmVersion::tpm1_2),
                         [](const auto& test) {
                           return test.param == TpmVersion::tpm2_0 ? "Tpm20" : "Tpm12";
                         });

TEST_P(TpmContent, WhatATpmHasWrittenIsTakenAsItIs) {
  const auto states = states_of_a_tpm(GetParam());
  for (std::size_t index = 0; index < tpm_state_count; ++index) {
    const auto state = static_cast<TpmState>(index);
    const Bytes& bytes = states.at(index);
    const auto checked = check(type(state), bytes);
    if (bytes.empty()) {
      continue;
    }
    ASSERT_OK(checked);
    EXPECT_EQ(checked->bytes, bytes);
    EXPECT_TRUE(checked->note.empty());
    EXPECT_TRUE(checked->attributes.empty());
  }
}

TEST_P(TpmContent, EmptyIsNoPermanentState) {
  expect_refused(type(TpmState::permanent), {}, "it is empty");
  EXPECT_TRUE(check(type(TpmState::volatile_state), {}).ok());
  EXPECT_TRUE(check(type(TpmState::save_state), {}).ok());
}

TEST_P(TpmContent, GarbageIsRefused) {
  for (std::size_t index = 0; index < tpm_state_count; ++index) {
    const auto state = static_cast<TpmState>(index);
    for (const std::size_t size : {1U, 7U, 1500U, 100000U}) {
      for (const std::byte value : {std::byte{0}, std::byte{0x5a}, std::byte{0xff}}) {
        expect_refused(type(state), Bytes(size, value), "nothing that is known");
      }
    }
  }
}

TEST_P(TpmContent, AStateThatWasCutIsRefused) {
  const auto states = states_of_a_tpm(GetParam());
  for (const TpmState state : {TpmState::permanent, TpmState::volatile_state}) {
    if (GetParam() == TpmVersion::tpm1_2 && state != TpmState::permanent) {
      continue; // libtpms cannot tell.
    }
    const Bytes& whole = states.at(static_cast<std::size_t>(state));
    for (const std::size_t size : {std::size_t{8}, whole.size() / 2, whole.size() - 1}) {
      Bytes cut = whole;
      cut.resize(size);
      expect_refused(type(state), cut, version_name());
    }
  }
}

TEST_P(TpmContent, AnotherStateIsNamed) {
  const auto states = states_of_a_tpm(GetParam());
  expect_refused(type(TpmState::volatile_state), states[0],
                 "the permanent state of a " + version_name());
  expect_refused(type(TpmState::permanent), states[1], "the volatile state of a " + version_name());
  const auto other = GetParam() == TpmVersion::tpm2_0 ? TpmVersion::tpm1_2 : TpmVersion::tpm2_0;
  expect_refused(tpm_blob_type(other, TpmState::permanent), states[0],
                 "the permanent state of a " + version_name());
}

TEST_P(TpmContent, OtherToolsWrappingsAreNamed) {
  const auto states = states_of_a_tpm(GetParam());
  // swtpm's header: version 2, readable since 1, 10 bytes long, no flags, and the length of all.
  Bytes wrapped = bytes_of(std::string_view("\x02\x01\x00\x0a\x00\x00\x00\x00\x05\x5a", 10));
  wrapped.insert(wrapped.end(), states[0].begin(), states[0].end());
  expect_refused(type(TpmState::permanent), wrapped, "swtpm's header");
  Bytes linear(8192);
  std::memcpy(linear.data(), "nilmptws", 8); // As it is in the file: its lowest byte is the first.
  expect_refused(type(TpmState::permanent), linear, "its backend file://");
  Bytes qcow2(196608);
  std::memcpy(qcow2.data(), "QFI\xfb", 4);
  expect_refused(type(TpmState::permanent), qcow2, "a qcow2 image");
  Bytes volume(4096);
  std::memcpy(volume.data() + 40, "_FVH", 4);
  expect_refused(type(TpmState::permanent), volume, "a firmware volume");
}

TEST(ContentCheck, UnknownTypesTakeAnything) {
  for (const std::string_view type : {"at24c", "libtpms.tpm3.permanent", "libtpms", "edk2"}) {
    const auto checked = check(type, bytes_of("anything"));
    ASSERT_OK(checked);
    EXPECT_EQ(checked->bytes, bytes_of("anything"));
    EXPECT_EQ(content_source_max_bytes(type, 5), 5U);
  }
  EXPECT_GE(content_source_max_bytes("edk2.variables", 5), std::uint64_t{64} << 20U);
}

} // namespace
} // namespace vnvram::test
