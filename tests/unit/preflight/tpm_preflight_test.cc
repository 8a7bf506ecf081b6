// What this host's libtpms says of the TPMs of an image.
#include "preflight/tpm_preflight.h"

#include <algorithm>

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

TEST_F(TpmPreflightTest, WhatMustBeKnownOfItIsAReason) {
  std::vector<BlobSpec> specs = tpm_blob_specs(TpmVersion::tpm2_0);
  specs.front().attributes.push_back({.name = "wrapped", .value = "yes", .must_know = true});
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  MemoryDevice fresh(disk_);
  CreateOptions options;
  for (const BlobSpec& each : specs) {
    options.blobs.push_back({.spec = each});
  }
  ASSERT_OK(create_image(fresh, options));
  OpenOptions opening = inline_options();
  opening.access = Access::read_only;
  opening.known_attributes = {"wrapped"};
  const auto store = open(opening);
  const auto found = check_tpms(*store);
  ASSERT_OK(found);
  EXPECT_TRUE(std::ranges::any_of(*found, [](const PreflightFinding& each) {
    return each.reason && each.reason->kind() == ErrorKind::too_new;
  }));
}

TEST_F(TpmPreflightTest, RoomForWhatThisLibtpmsAsksForIsNeeded) {
  std::vector<BlobSpec> specs = tpm_blob_specs(TpmVersion::tpm2_0);
  for (BlobSpec& each : specs) {
    each.size_max_bytes = 1000;
  }
  create(specs, std::uint64_t{512} << 10U, std::uint64_t{64} << 10U);
  const auto store = open_read_only();
  const auto found = check_tpms(*store);
  ASSERT_OK(found);
  EXPECT_TRUE(std::ranges::any_of(*found, [](const PreflightFinding& each) {
    return each.reason && each.reason->kind() == ErrorKind::no_space;
  }));
}

} // namespace
} // namespace vnvram::test
