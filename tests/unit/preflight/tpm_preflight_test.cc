// What this host's libtpms says of the TPMs of an image.
#include "preflight/tpm_preflight.h"

#include <algorithm>
#include <iterator>

#include "soft_tpm/soft_tpm.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

using Outcome = PreflightFinding::Outcome;

class TpmPreflightTest : public StoreFixture {
protected:
  /// The states of one that was just manufactured.
  static Bytes new_state(TpmVersion version) {
    SoftTpm tpm(version, tpm_blob_specs(version), std::vector<Bytes>(tpm_state_count),
                Manufacture::allowed);
    EXPECT_OK(tpm.verify());
    Bytes state;
    EXPECT_EQ(tpm.get_state(TpmState::permanent, state), tpm_success);
    return state;
  }
  void create_with(TpmVersion version, const std::string& prefix = {}) {
    create(tpm_blob_specs(version, prefix));
    name_ = prefix + std::string(tpm_blob_name(version, TpmState::permanent));
  }
  /// Of the only finding.
  PreflightFinding only_finding() {
    const auto store = open_read_only();
    const auto found = check_tpms(*store);
    EXPECT_OK(found);
    EXPECT_EQ(found->size(), 1U);
    return found->empty() ? PreflightFinding() : found->front();
  }
  /// Of an image that a libtpms with small states has made.
  static std::vector<BlobSpec> small_specs(const std::string& prefix = {}) {
    std::vector<BlobSpec> specs = tpm_blob_specs(TpmVersion::tpm2_0, prefix);
    for (BlobSpec& each : specs) {
      each.size_max_bytes = 1000;
    }
    return specs;
  }
  std::vector<ErrorKind> refusals() {
    const auto store = open_read_only();
    const auto found = check_tpms(*store);
    EXPECT_OK(found);
    std::vector<ErrorKind> kinds;
    for (const PreflightFinding& each : *found) {
      if (each.reason) {
        kinds.push_back(each.reason->kind());
      }
    }
    return kinds;
  }
  void put(const Bytes& state) { EXPECT_OK(open()->write(name_, state)); }

  std::string name_;
};

TEST_F(TpmPreflightTest, AnImageWithoutOneHasNothingToAsk) {
  create({spec("a", 100)});
  const auto store = open_read_only();
  const auto found = check_tpms(*store);
  ASSERT_OK(found);
  EXPECT_TRUE(found->empty());
}

TEST_F(TpmPreflightTest, OneThatHasNeverRunIsMadeAtItsStart) {
  create_with(TpmVersion::tpm2_0, "guest1/");
  const PreflightFinding found = only_finding();
  EXPECT_EQ(found.about, "guest1/tpm2");
  EXPECT_EQ(found.outcome, Outcome::note);
}

TEST_F(TpmPreflightTest, AStateOfThisLibtpmsIsTaken) {
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    create_with(version);
    put(new_state(version));
    const PreflightFinding found = only_finding();
    EXPECT_EQ(found.outcome, Outcome::good) << found.text;
  }
}

TEST_F(TpmPreflightTest, OneOfALaterLibtpmsIsRefusedAsThat) {
  create_with(TpmVersion::tpm2_0);
  Bytes state = new_state(TpmVersion::tpm2_0);
  state[1] = state[7] = std::byte{99}; // Its version, and the oldest that reads it.
  put(state);
  const PreflightFinding found = only_finding();
  ASSERT_EQ(found.outcome, Outcome::refusal);
  EXPECT_EQ(found.reason->kind(), ErrorKind::too_new);
}

TEST_F(TpmPreflightTest, WhatIsNoStateIsNotCalledNewer) {
  create_with(TpmVersion::tpm2_0);
  put(bytes("no state"));
  const PreflightFinding found = only_finding();
  ASSERT_EQ(found.outcome, Outcome::refusal);
  EXPECT_EQ(found.reason->kind(), ErrorKind::corrupt);
}

TEST_F(TpmPreflightTest, OneThatHasLostItsStateIsNotMadeAnew) {
  create_with(TpmVersion::tpm2_0);
  put(new_state(TpmVersion::tpm2_0));
  put({});
  const PreflightFinding found = only_finding();
  ASSERT_EQ(found.outcome, Outcome::refusal);
  EXPECT_EQ(found.reason->kind(), ErrorKind::corrupt);
}

TEST_F(TpmPreflightTest, AllItsBlobsAreNeeded) {
  for (std::size_t missing = 0; missing < tpm_state_count; ++missing) {
    std::vector<BlobSpec> specs = tpm_blob_specs(TpmVersion::tpm1_2);
    specs.erase(specs.begin() + static_cast<std::ptrdiff_t>(missing));
    create(specs);
    const PreflightFinding found = only_finding();
    EXPECT_EQ(found.about, "tpm12");
    ASSERT_EQ(found.outcome, Outcome::refusal);
    EXPECT_EQ(found.reason->kind(), ErrorKind::not_found);
  }
}

TEST_F(TpmPreflightTest, EachOfItsBlobsHasItsType) {
  for (std::size_t other = 0; other < tpm_state_count; ++other) {
    std::vector<BlobSpec> specs = tpm_blob_specs(TpmVersion::tpm2_0);
    specs.at(other).type = "t";
    create(specs);
    const PreflightFinding found = only_finding();
    ASSERT_EQ(found.outcome, Outcome::refusal);
    EXPECT_EQ(found.reason->kind(), ErrorKind::type_mismatch);
  }
}

TEST_F(TpmPreflightTest, RoomForWhatThisLibtpmsAsksForIsNeeded) {
  create(small_specs(), std::uint64_t{1} << 20U, std::uint64_t{640} << 10U);
  EXPECT_EQ(refusals(), std::vector{ErrorKind::no_space});
}

TEST_F(TpmPreflightTest, RoomForAllTpmsIsNeeded) {
  std::vector<BlobSpec> specs = small_specs();
  create(specs, std::uint64_t{2} << 20U, std::uint64_t{640} << 10U);
  EXPECT_TRUE(refusals().empty());
  std::ranges::copy(small_specs("other/"), std::back_inserter(specs));
  create(specs, std::uint64_t{2} << 20U, std::uint64_t{640} << 10U);
  EXPECT_EQ(refusals(), std::vector{ErrorKind::no_space}); // The second one's.
}

TEST_F(TpmPreflightTest, ALogForWhatThisLibtpmsAsksForIsNeeded) {
  create(small_specs(), std::uint64_t{4} << 20U, std::uint64_t{256} << 10U);
  EXPECT_EQ(refusals(), std::vector{ErrorKind::too_large});
}

} // namespace
} // namespace vnvram::test
