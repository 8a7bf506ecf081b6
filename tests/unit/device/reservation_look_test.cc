// Who has a device reserved, and what is in the way of that, as somebody sees who takes nothing.
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "device/reservation_look.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/device/lun.h"
#include "vnvram/open_device.h"
#include "vnvram/reservation.h"

namespace vnvram {
namespace {

using Holder = ReservationLook::Holder;

TEST(ReservationLookTest, ALookSaysWhoHasItAndLeavesItSo) {
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

TEST(ReservationLookTest, ALookSaysWhatIsInTheWayOfAReservation) {
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

TEST(ReservationLookTest, WhatHasNoneSaysWhyAndWhatToDo) {
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

TEST(ReservationLookTest, OfAFileThereIsNothingToSee) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("file");
  EXPECT_EQ(check_reservable(path).error().kind(), ErrorKind::absent);
  std::ofstream(path) << std::string(block_size_bytes, 'x');
  EXPECT_FALSE(look_for_reservation(path));
  EXPECT_EQ(check_reservable(path).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(check_reservable("rbd:pool/x").error().kind(), ErrorKind::invalid_argument);
}

} // namespace
} // namespace vnvram
