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
#include "vnvram/open_device.h"
#include "vnvram/reservation.h"

namespace vnvram {
namespace {

using Host = std::string;

constexpr int conflict = 0x118; // As SCSI's comes from Linux 6.1.
constexpr int nvme_conflict = 0x4083;
constexpr std::uint64_t foreign_key = 0xabcdef;

/// A device with one reservation, by the rules of SPC-4 for PR_WRITE_EXCLUSIVE.
struct Lun {
  std::map<Host, std::uint64_t> keys;
  Host holder;
  std::uint32_t type = PR_WRITE_EXCLUSIVE;
  int aborts = 0;
  int looks = 0;

  [[nodiscard]] bool takes_writes_of(const Host& host) const {
    return holder.empty() || holder == host;
  }
};

class LunCalls final : public ReservationCalls {
public:
  LunCalls(Lun& lun, Host host) : lun_(lun), host_(std::move(host)) {}

  [[nodiscard]] Kind kind() const override { return is; }
  int set_key(std::uint64_t key) override {
    if (refusal != 0) {
      return refusal;
    }
    lun_.keys[host_] = key;
    return 0;
  }
  int drop_key(std::uint64_t key) override {
    if (failure != 0) {
      return std::exchange(failure, 0);
    }
    if (!has(key)) {
      return conflict;
    }
    lun_.keys.erase(host_);
    lun_.holder = lun_.holder == host_ ? Host() : lun_.holder;
    return 0;
  }
  int reserve(std::uint64_t key) override {
    if (failure != 0) {
      return std::exchange(failure, 0);
    }
    if (!has(key) || (!lun_.holder.empty() && lun_.holder != host_)) {
      return conflict_says;
    }
    lun_.holder = host_;
    return 0;
  }
  int preempt(std::uint64_t key, std::uint64_t other) override {
    if (failure != 0) {
      return std::exchange(failure, 0);
    }
    if (before_preempting) {
      std::exchange(before_preempting, nullptr)();
    }
    if (!has(key) || lun_.holder.empty() || lun_.keys[lun_.holder] != other) {
      return conflict_says;
    }
    lun_.keys.erase(lun_.holder);
    lun_.holder = host_;
    ++lun_.aborts;
    return 0;
  }
  int has_key(std::uint64_t key) override { return has(key) ? 0 : conflict_says; }
  int may_register() override { return refusal; }
  int held(std::optional<Held>& found) override {
    ++lun_.looks;
    if (before_looking) {
      before_looking();
    }
    if (cannot_tell != 0) {
      return cannot_tell;
    }
    found =
        lun_.holder.empty() ? std::optional<Held>() : Held{lun_.keys.at(lun_.holder), lun_.type};
    return 0;
  }

  Kind is = Kind::whole;
  int refusal = 0;
  int conflict_says = conflict;
  int cannot_tell = 0;
  int failure = 0; ///< Of what reserves, preempts or drops, once.
  std::function<void()> before_looking;
  std::function<void()> before_preempting;

private:
  [[nodiscard]] bool has(std::uint64_t key) const {
    const auto found = lun_.keys.find(host_);
    return found != lun_.keys.end() && found->second == key;
  }

  Lun& lun_;
  const Host host_;
};

/// One opening on a host.
struct Opening {
  Opening(Lun& lun, const Host& host)
      : owned(std::make_unique<LunCalls>(lun, host)), calls(*owned),
        reservation(std::move(owned), "/dev/lun") {}

  std::unique_ptr<LunCalls> owned;
  LunCalls& calls;
  PersistentReservation reservation;
};

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

using Holder = ReservationLook::Holder;

TEST(PersistentReservationTest, ALookSaysWhoHasItAndLeavesItSo) {
  Lun lun;
  const auto look = [&](const Host& host) { return Opening(lun, host).reservation.look(); };
  EXPECT_EQ(look("a").holder, Holder::nobody);
  EXPECT_OK(look("a").possible);
  ASSERT_OK(Opening(lun, "a").reservation.take());
  const auto keys = lun.keys;
  EXPECT_EQ(look("a").holder, Holder::this_host);
  EXPECT_EQ(look("b").holder, Holder::another_host);
  EXPECT_EQ(look("b").key, keys.at("a"));
  EXPECT_OK(look("b").possible); // Once that one has given it back.
  EXPECT_EQ(lun.keys, keys);
  lun.keys["a"] = foreign_key;
  EXPECT_EQ(look("a").holder, Holder::something_else);
  EXPECT_EQ(look("a").possible.error().kind(), ErrorKind::in_use);
  EXPECT_EQ(lun.holder, "a");
}

TEST(PersistentReservationTest, ALookSaysWhatIsInTheWayOfAReservation) {
  struct Case {
    int cannot_tell;
    int refusal;
    bool possible;
    bool lacks_right;
  };
  for (const Case& each : {Case{-EPERM, 0, false, true}, Case{-EOPNOTSUPP, 0, false, false},
                           Case{-ENOTTY, 0, true, false}, // Such as an NVMe namespace's kernel.
                           Case{-ENOTTY, -EOPNOTSUPP, false, false}, Case{0, -EPERM, false, true},
                           Case{-EIO, 0, false, false}}) {
    Lun lun;
    ASSERT_OK(Opening(lun, "a").reservation.take());
    Opening opening(lun, "a");
    opening.calls.cannot_tell = each.cannot_tell;
    opening.calls.refusal = each.refusal;
    const ReservationLook look = opening.reservation.look();
    EXPECT_EQ(look.holder, each.cannot_tell == 0 ? std::optional(Holder::some_host) : std::nullopt);
    EXPECT_EQ(look.possible.ok(), each.possible) << each.cannot_tell << " " << each.refusal;
    EXPECT_EQ(look.lacks_right, each.lacks_right);
    EXPECT_FALSE(look.text().empty());
  }
}

TEST(PersistentReservationTest, WhatHasNoneSaysWhyAndWhatToDo) {
  using Kind = ReservationCalls::Kind;
  for (const auto& [kind, why] : std::map<Kind, std::string>{{Kind::part, "a part of a device"},
                                                             {Kind::multipath, "one path's alone"},
                                                             {Kind::mapped, "of other devices"},
                                                             {Kind::on_cable, "SATA"}}) {
    Lun lun;
    Opening opening(lun, "a");
    opening.calls.is = kind;
    opening.calls.cannot_tell = -EOPNOTSUPP;
    opening.calls.refusal = -EOPNOTSUPP;
    for (const Status& status : {opening.reservation.take(), opening.reservation.shut_out_holder(),
                                 opening.reservation.look().possible}) {
      EXPECT_EQ(status.error().kind(), ErrorKind::unsupported);
      EXPECT_NE(status.error().cause().find(why), std::string::npos) << status.error().cause();
      EXPECT_EQ(status.error().remedy().find("--owner-is-dead") != std::string::npos,
                kind == Kind::multipath);
    }
  }
}

TEST(PersistentReservationTest, OfAFileThereIsNothingToSee) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("file");
  EXPECT_EQ(check_reservable(path).error().kind(), ErrorKind::absent);
  std::ofstream(path) << std::string(block_size_bytes, 'x');
  EXPECT_FALSE(look_for_reservation(path));
  EXPECT_EQ(check_reservable(path).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(check_reservable("rbd:pool/x").error().kind(), ErrorKind::invalid_argument);
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
