// Power cuts and process deaths at every operation of seeded workloads (crash_explorer.h says what
// is checked, and for which invariants). `--replay ID` runs one crash image again.
#include <cstring>
#include <string>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/scenarios.h"

namespace vnvram::test {
namespace {

void explore(const std::string& scenario, std::uint64_t first_seed, std::uint64_t seed_count) {
  for (std::uint64_t seed = first_seed; seed < first_seed + seed_count; ++seed) {
    const std::string failure = run_scenario({.scenario = scenario, .seed = seed, .cuts = {}});
    ASSERT_TRUE(failure.empty()) << failure;
  }
}

// An acknowledged commit survives any power cut; the state is always that of one generation.
TEST(CrashTest, Invariants1And2HoldAtEveryCutOfAMixedWorkload) {
  explore("mixed", 1, 1);
}
TEST(CrashTest, Invariants1And2HoldInLongRuns) {
  explore("long", 1, 1);
}
TEST(CrashTest, Invariants1And2HoldWhenTheRingIsSmallAndWraps) {
  explore("small-ring", 1, 1);
}
TEST(CrashTest, Invariants1And2HoldForCommitsInsideACheckpoint) {
  explore("checkpoints", 1, 1);
}
TEST(CrashTest, Invariants1And2HoldForRegistrationAndGrowing) {
  explore("registration", 1, 1);
}
TEST(CrashTest, Invariants1And2HoldForImagesThatGrowByThemselves) {
  explore("growing", 1, 1);
  explore("encrypted-growing", 1, 1);
}
// Several blobs of one transaction are all there or none; so are those of a group.
TEST(CrashTest, Invariant3TransactionsAreAllThereOrNotAtAll) {
  explore("transactions", 1, 1);
}
// Recovery may be cut at any point, any number of times.
TEST(CrashTest, Invariant4RecoveryMayBeCutAgainAndAgain) {
  explore("recovery", 1, 1);
}

// What is on the image is a prefix of the deferred writes, whatever else happens to the store.
TEST(CrashTest, Invariant8AnImageHoldsAPrefixOfTheDeferredWrites) {
  explore("deferred", 1, 1);
}
TEST(CrashTest, Invariant8HoldsWhenRecoveryIsCutAgainAndAgain) {
  explore("deferred-recovery", 1, 1);
}

TEST(CrashTest, Invariants1To4HoldForAnEncryptedImage) {
  explore("encrypted", 1, 1);
}
TEST(CrashTest, Invariant8HoldsForAnEncryptedImage) {
  explore("encrypted-deferred", 1, 1);
}
TEST(CrashTest, Invariant4HoldsForAnEncryptedImageThatIsCutAgainAndAgain) {
  explore("encrypted-recovery", 1, 1);
}

// The same through an owner's socket: what a session was answered is on the owner's disk.
TEST(CrashTest, InvariantsHoldForWhatASessionWasAnswered) {
  explore("served", 1, 1);
}
TEST(CrashTest, InvariantsHoldForASessionWhenRecoveryIsCutAgainAndAgain) {
  explore("served-recovery", 1, 1);
}
TEST(CrashTest, InvariantsHoldForWhatManySessionsWereAnsweredAtOnce) {
  explore("served-to-many", 1, 1);
}

TEST(ReplayIdTest, ComesBackFromItsText) {
  const std::string text = "small-ring/7/142c13t/9+d2/3c0";
  const std::optional<ReplayId> id = ReplayId::parse(text);
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(id->text(), text);
  for (const char* wrong :
       {"", "mixed", "mixed/x", "mixed/1/2", "mixed/1/2c", "mixed/1/c3", "mixed/1/2c3/"}) {
    EXPECT_FALSE(ReplayId::parse(wrong).has_value()) << wrong;
  }
}

int replay(const char* text) {
  const std::optional<ReplayId> id = ReplayId::parse(text);
  if (!id) {
    fmt::print(stderr, "--replay: \"{}\" is no replay id\n", text);
    return 2;
  }
  const std::string failure = run_scenario(*id);
  fmt::print("{}\n", failure.empty() ? "no failure" : failure);
  return failure.empty() ? 0 : 1;
}

} // namespace
} // namespace vnvram::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc == 3 && std::strcmp(argv[1], "--replay") == 0) {
    return vnvram::test::replay(argv[2]);
  }
  return RUN_ALL_TESTS();
}
