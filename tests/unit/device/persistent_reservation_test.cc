// What is asked of a device's reservations, and in which order. Real ones are in
// tests/system/test_reservations.py: here a device says what is hard to have it say there.
#include "device/persistent_reservation.h"

#include <linux/pr.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "device/block_reservation_calls.h"
#include "device/location.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/device/lun.h"
#include "vnvram/open_device.h"
#include "vnvram/reservation.h"

namespace vnvram {
namespace {

TEST(PersistentReservationTest, IsOneHostsUntilItIsGivenBack) {
  Lun lun;
  Opening first(lun, "a");
  Opening second(lun, "b");
  ASSERT_OK(first.reservation.take());
  EXPECT_TRUE(lun.takes_writes_of("a"));
  EXPECT_FALSE(lun.takes_writes_of("b"));
  const Status refused = second.reservation.take();
  EXPECT_EQ(refused.error().kind(), ErrorKind::in_use);
  EXPECT_EQ(lun.keys.size(), 1U) << "who was refused left a key behind";
  EXPECT_OK(first.reservation.give_back());
  EXPECT_TRUE(lun.keys.empty());
  EXPECT_OK(second.reservation.take());
  EXPECT_FALSE(first.reservation.is_lost()); // He has given it back.
}

TEST(PersistentReservationTest, WhatAKilledOwnerLeavesIsTheNextOnesOfItsHost) {
  Lun lun;
  ASSERT_OK(Opening(lun, "a").reservation.take()); // And nothing more.
  Opening next(lun, "a");
  EXPECT_OK(next.reservation.take());
  EXPECT_OK(next.reservation.give_back());
  EXPECT_TRUE(lun.takes_writes_of("b"));
}

TEST(PersistentReservationTest, IsTakenFromALivingHostWhichNoticesAndLeavesItAlone) {
  Lun lun;
  Opening old(lun, "a");
  ASSERT_OK(old.reservation.take());
  Opening next(lun, "b");
  ASSERT_OK(next.reservation.shut_out_holder());
  EXPECT_EQ(lun.aborts, 1);
  EXPECT_FALSE(lun.takes_writes_of("a"));
  EXPECT_TRUE(lun.takes_writes_of("b"));
  EXPECT_TRUE(old.reservation.is_lost());
  EXPECT_OK(old.reservation.give_back());
  EXPECT_FALSE(lun.takes_writes_of("a"));
  EXPECT_OK(next.reservation.take()); // It is his.
  EXPECT_EQ(Opening(lun, "a").reservation.take().error().kind(), ErrorKind::in_use);
}

TEST(PersistentReservationTest, OfThisHostIsNothingToBeTaken) {
  Lun lun;
  ASSERT_OK(Opening(lun, "b").reservation.take());
  Opening next(lun, "b");
  EXPECT_OK(next.reservation.shut_out_holder());
  EXPECT_EQ(lun.aborts, 0);
  EXPECT_FALSE(lun.takes_writes_of("a"));
}

TEST(PersistentReservationTest, NobodyIsShutOutOfWhatNobodyHasReserved) {
  Lun lun;
  Opening next(lun, "b");
  EXPECT_EQ(next.reservation.shut_out_holder().error().kind(), ErrorKind::unsupported);
  EXPECT_TRUE(lun.keys.empty());
}

TEST(PersistentReservationTest, AHolderThatComesAgainMeanwhileIsShutOutAllTheSame) {
  Lun lun;
  ASSERT_OK(Opening(lun, "a").reservation.take());
  Opening again(lun, "a");
  Opening next(lun, "b");
  next.calls.before_preempting = [&] { ASSERT_OK(again.reservation.take()); };
  EXPECT_OK(next.reservation.shut_out_holder());
  EXPECT_TRUE(again.reservation.is_lost());
}

TEST(PersistentReservationTest, WhatSomethingElseHasReservedIsLeftAlone) {
  for (const bool same_host : {false, true}) {
    Lun lun;
    lun.holder = same_host ? "b" : "a";
    lun.keys[lun.holder] = foreign_key;
    Opening next(lun, "b");
    EXPECT_EQ(next.reservation.shut_out_holder().error().kind(), ErrorKind::in_use);
    const Status refused = next.reservation.take();
    EXPECT_EQ(refused.error().kind(), ErrorKind::in_use);
    EXPECT_NE(refused.error().cause().find("not vNVRAM has reserved it (key 0xabcdef"),
              std::string::npos);
    EXPECT_EQ(lun.keys.at(lun.holder), foreign_key);
  }
}

TEST(PersistentReservationTest, ADeviceThatDoesNotTellIsReservedAndNotTakenOver) {
  Lun lun;
  Opening first(lun, "a");
  first.calls.cannot_tell = -ENOTTY;
  first.calls.conflict_says = nvme_conflict;
  EXPECT_OK(first.reservation.take());
  Opening second(lun, "b");
  second.calls.cannot_tell = -ENOTTY;
  second.calls.conflict_says = nvme_conflict;
  EXPECT_EQ(second.reservation.shut_out_holder().error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(second.reservation.take().error().kind(), ErrorKind::in_use);
}

TEST(PersistentReservationTest, WhoHasNoRightOrNoSuchDeviceHearsOfIt) {
  Lun lun;
  for (const int refusal : {-EPERM, -EOPNOTSUPP, -ENOTTY, 0x2}) {
    Opening opening(lun, "a");
    opening.calls.refusal = refusal;
    EXPECT_EQ(opening.reservation.take().error().kind(), ErrorKind::unsupported) << refusal;
  }
  Opening opening(lun, "a");
  opening.calls.refusal = -EIO;
  EXPECT_EQ(opening.reservation.take().error().kind(), ErrorKind::io);
}

TEST(PersistentReservationTest, WhoCannotSeeWhoHasItTakesItFromNobody) {
  for (const int blind : {-EPERM, -EACCES, -EIO}) {
    Lun lun;
    lun.holder = "a"; // Something else on this very host.
    lun.keys["a"] = foreign_key;
    Opening opening(lun, "a");
    opening.calls.cannot_tell = blind;
    for (int attempt = 0; attempt < 2; ++attempt) { // Nor at the next attempt.
      const Status refused = opening.reservation.take();
      ASSERT_FALSE(refused) << blind;
      EXPECT_EQ(refused.error().kind(), blind == -EIO ? ErrorKind::io : ErrorKind::unsupported);
      EXPECT_EQ(refused.error().remedy().find("CAP_SYS_RAWIO") != std::string::npos, blind != -EIO);
    }
    const Status not_shut_out = opening.reservation.shut_out_holder();
    ASSERT_FALSE(not_shut_out);
    EXPECT_EQ(not_shut_out.error().remedy().find("CAP_SYS_RAWIO") != std::string::npos,
              blind != -EIO);
    EXPECT_EQ(lun.keys.at("a"), foreign_key);
    EXPECT_EQ(lun.holder, "a");
  }
}

TEST(PersistentReservationTest, AnOrdinaryUserUsesWhatHeCannotSeeAsReserved) {
  Lun lun;
  Opening opening(lun, "a");
  opening.calls.cannot_tell = -EPERM;
  EXPECT_OK(opening.reservation.join());
  EXPECT_OK(opening.reservation.join());
  EXPECT_EQ(lun.looks, 1);
  Opening broken(lun, "a");
  broken.calls.cannot_tell = -EIO;
  EXPECT_EQ(broken.reservation.join().error().kind(), ErrorKind::io);
  EXPECT_TRUE(lun.keys.empty());
}

TEST(PersistentReservationTest, APassingFailureGivesNothingUpThatThisHostHeld) {
  for (const bool joins : {false, true}) {
    Lun lun;
    ASSERT_OK(Opening(lun, "a").reservation.take()); // And was killed.
    Opening next(lun, "a");
    next.calls.failure = -EIO;
    const Status failed = joins ? next.reservation.join() : next.reservation.take();
    EXPECT_EQ(failed.error().kind(), ErrorKind::io);
    EXPECT_OK(next.reservation.give_back()); // As a device does that could not be locked.
    EXPECT_FALSE(lun.takes_writes_of("b"));
    EXPECT_OK(next.reservation.take());
  }
}

TEST(PersistentReservationTest, AFailureOnWhatNobodyHeldLeavesNoKey) {
  Lun lun;
  Opening opening(lun, "a");
  opening.calls.failure = -EIO;
  EXPECT_EQ(opening.reservation.take().error().kind(), ErrorKind::io);
  EXPECT_TRUE(lun.keys.empty());
}

TEST(PersistentReservationTest, ATakeOverThatFailsGivesNothingUpThatThisHostHeld) {
  Lun lun;
  ASSERT_OK(Opening(lun, "a").reservation.take());
  Opening next(lun, "a"); // The key was exchanged when the second look fails.
  next.calls.before_looking = [&] { next.calls.cannot_tell = lun.looks == 2 ? -EIO : 0; };
  EXPECT_EQ(next.reservation.shut_out_holder().error().kind(), ErrorKind::io);
  EXPECT_OK(next.reservation.give_back());
  EXPECT_FALSE(lun.takes_writes_of("b"));
  EXPECT_OK(next.reservation.shut_out_holder());
  EXPECT_FALSE(lun.takes_writes_of("b"));
}

TEST(PersistentReservationTest, WhatIsNotGivenBackIsSaidAndIsTheNextOnesOfItsHost) {
  for (const int answer : {-EIO, -EPERM, 0x2}) {
    Lun lun;
    Opening opening(lun, "a");
    ASSERT_OK(opening.reservation.take());
    opening.calls.failure = answer;
    const Status failed = opening.reservation.give_back();
    EXPECT_EQ(failed.error().kind(), answer == -EIO ? ErrorKind::io : ErrorKind::unsupported);
    EXPECT_NE(failed.error().remedy().find("takeover"), std::string::npos);
    EXPECT_FALSE(lun.takes_writes_of("b"));
    Opening next(lun, "a");
    ASSERT_OK(next.reservation.take());
    EXPECT_OK(next.reservation.give_back());
    EXPECT_TRUE(lun.takes_writes_of("b"));
  }
  Lun lun;
  Opening opening(lun, "a");
  ASSERT_OK(opening.reservation.take());
  ASSERT_OK(Opening(lun, "b").reservation.shut_out_holder());
  EXPECT_OK(opening.reservation.give_back()); // It is another host's by now.
  EXPECT_FALSE(lun.takes_writes_of("a"));
}

TEST(PersistentReservationTest, WhatThisHostHadAlreadyCanBeLeft) {
  Lun lun;
  Opening first(lun, "a");
  ASSERT_OK(first.reservation.take());
  EXPECT_FALSE(first.reservation.was_here());
  Opening next(lun, "a");
  ASSERT_OK(next.reservation.take());
  EXPECT_TRUE(next.reservation.was_here());
  next.reservation.leave();
  EXPECT_FALSE(next.reservation.is_held());
  EXPECT_FALSE(lun.takes_writes_of("b"));
  ASSERT_OK(next.reservation.take());
  EXPECT_TRUE(next.reservation.was_here()); // Which is not looked for again.
  ASSERT_OK(next.reservation.give_back());
  EXPECT_FALSE(next.reservation.was_here());
  EXPECT_TRUE(lun.takes_writes_of("b"));
}

TEST(PersistentReservationTest, WhatSCSISaysIsNotAllTheSame) {
  const auto fixed = [](unsigned char key) { return std::vector<unsigned char>{0x70, 0, key}; };
  const auto descriptors = [](unsigned char key) { return std::vector<unsigned char>{0x72, key}; };
  EXPECT_EQ(answer_of_scsi(0, 0, {}), 0);
  for (const auto& sense : {fixed(0x25), descriptors(0x05)}) { // With a flag beside it.
    EXPECT_EQ(answer_of_scsi(0x02, 0, sense), -EOPNOTSUPP);
  }
  for (const auto& sense : {fixed(0x06), descriptors(0x06)}) {
    EXPECT_EQ(answer_of_scsi(0x02, 0, sense), -EAGAIN);
  }
  const std::vector<std::vector<unsigned char>> others = {
      fixed(0x02), descriptors(0x04), fixed(0x0b), {}, {0x70, 0}, {0x72}};
  for (const auto& sense : others) {
    EXPECT_EQ(answer_of_scsi(0x02, 0, sense), -EIO);
  }
  EXPECT_EQ(answer_of_scsi(0x08, 0, {}), -EIO);
  EXPECT_EQ(answer_of_scsi(0, 1, {}), -EIO);
}

TEST(PersistentReservationTest, WhoWasNotAskedToTakeItKeepsToWhoHasIt) {
  Lun lun;
  Opening other(lun, "b");
  ASSERT_OK(other.reservation.join());
  EXPECT_TRUE(lun.keys.empty()) << "nobody has it";
  ASSERT_OK(Opening(lun, "a").reservation.take());
  EXPECT_OK(Opening(lun, "a").reservation.join());
  EXPECT_EQ(lun.holder, "a");
  EXPECT_EQ(Opening(lun, "b").reservation.join().error().kind(), ErrorKind::in_use);
  EXPECT_EQ(lun.keys.size(), 1U);
  lun.keys["a"] = foreign_key;
  EXPECT_OK(Opening(lun, "b").reservation.join()); // What others reserve is others' business.
  EXPECT_EQ(lun.keys.size(), 1U);
}

// A process that is confined has no other calls left than those of reserving itself.
TEST(PersistentReservationTest, LooksForOthersOnce) {
  Lun lun;
  Opening opening(lun, "a");
  for (int turn = 0; turn < 3; ++turn) {
    ASSERT_OK(opening.reservation.take());
    EXPECT_OK(opening.reservation.give_back());
  }
  EXPECT_EQ(lun.looks, 1);
}

TEST(PersistentReservationTest, AFileIsNotReserved) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("file");
  std::ofstream(path) << std::string(block_size_bytes, 'x');
  for (const Access access : {Access::read_only, Access::read_write}) {
    const auto opened = open_device(path, access);
    ASSERT_OK(opened);
    EXPECT_EQ(reserve_when_locked(**opened).error().kind(), ErrorKind::invalid_argument);
  }
}

TEST(PersistentReservationTest, WhatCannotBeTheDeviceIsToldApart) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("file");
  EXPECT_TRUE(may_be_block_device(path)); // It may be made yet.
  std::ofstream(path) << "x";
  EXPECT_FALSE(may_be_block_device(path));
  EXPECT_FALSE(may_be_block_device("nbd://host/x"));
  EXPECT_FALSE(may_be_block_device("rbd:pool/x"));
  EXPECT_TRUE(may_be_block_device("fd:999")); // Not open.
}

} // namespace
} // namespace vnvram
