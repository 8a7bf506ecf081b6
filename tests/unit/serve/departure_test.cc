// The image goes on at another place: what its owner does for it, and what it does not any more.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backup/owner_move_source.h"
#include "support/full_device.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

constexpr std::chrono::seconds held_max{10};

class DepartureTest : public ServedImage {
protected:
  void begin() {
    departure_ = {.location = "disk",
                  .announce =
                      [this](const std::string& place) {
                        places_.push_back(place);
                        return announced_;
                      },
                  .end = [this] { ++ends_; }};
    serve({spec("a", 4096)});
  }
  static HandOverNumber number() {
    HandOverNumber made;
    made.bytes.front() = std::byte{7};
    return made;
  }

  std::unique_ptr<BlockDevice> opened(std::unique_ptr<BlockDevice> device) override {
    return std::make_unique<FullDevice>(std::move(device), room_);
  }

  const FullDevice::Room room_ = std::make_shared<std::optional<unsigned>>();
  std::vector<std::string> places_;
  Status announced_;
  std::atomic<int> ends_ = 0;
};

TEST_F(DepartureTest, WhereNobodyComesNextNothingIsMoved) {
  serve({spec("a", 4096)});
  std::uint64_t mirror = 0;
  EXPECT_KIND(operators()->take_written(mirror), unsupported);
  EXPECT_KIND(operators()->leave(1, number(), "there"), unsupported);
}

TEST_F(DepartureTest, OnlyTheLastWhoBeganHearsWhatIsWritten) {
  begin();
  const auto first = operators();
  std::uint64_t firsts = 0;
  ASSERT_OK(first->take_written(firsts));
  ASSERT_OK(put(*client(), "a", "one"));
  const auto written = first->take_written(firsts);
  ASSERT_OK(written);
  EXPECT_FALSE(written->empty());
  std::uint64_t seconds = 0;
  ASSERT_OK(operators()->take_written(seconds));
  EXPECT_KIND(first->take_written(firsts), in_use);
}

// Whoever holds may be about to leave for the very place that the other one is going to write over.
TEST_F(DepartureTest, NobodyBeginsWhileChangesAreHeldNorWhenItWasLeft) {
  begin();
  const auto first = operators();
  std::uint64_t firsts = 0;
  ASSERT_OK(first->take_written(firsts));
  const auto held = first->hold_alone(held_max);
  ASSERT_OK(held);
  const auto second = operators();
  std::uint64_t seconds = 0;
  EXPECT_KIND(second->take_written(seconds), in_use);
  EXPECT_OK(first->take_written(firsts));
  ASSERT_OK(first->leave(*held, number(), "there"));
  EXPECT_KIND(second->take_written(seconds), sealed);
}

TEST_F(DepartureTest, WithoutItsHoldNothingHappens) {
  begin();
  const auto owner = operators();
  const auto held = owner->hold_alone(held_max);
  ASSERT_OK(held);
  ASSERT_OK(owner->release_own(*held));
  EXPECT_KIND(owner->leave(*held, number(), "there"), stale);
  EXPECT_TRUE(places_.empty());
  ASSERT_OK(put(*client(), "a", "one"));
}

TEST_F(DepartureTest, WhoMovesItEndsOnlyTheirOwnHold) {
  begin();
  const auto mover = operators();
  OwnerMoveSource source(*mover, "owner");
  ASSERT_OK(source.begin());
  ASSERT_OK(source.hold());
  const auto another = operators();
  source.end_hold(*another, *another->status());
  EXPECT_FALSE(another->status()->held);
  EXPECT_KIND(source.leave(number(), "there"), stale);
  ASSERT_OK(another->hold(held_max));
  source.end_hold(*another, *another->status());
  EXPECT_TRUE(another->status()->held);
}

TEST_F(DepartureTest, WhatAnOwnerHoldsThatHasComeSinceIsNotTheirs) {
  begin();
  const auto mover = operators();
  OwnerMoveSource source(*mover, "owner");
  ASSERT_OK(source.begin());
  ASSERT_OK(source.hold());
  OwnerStatus next = *mover->status();
  ++next.pid;
  source.end_hold(*mover, next);
  EXPECT_TRUE(mover->status()->held);
}

TEST_F(DepartureTest, NorWhereTheNextOwnerCouldNotOpenIt) {
  begin();
  announced_ = Error(ErrorKind::absent, "not there");
  const auto owner = operators();
  const auto held = owner->hold_alone(held_max);
  ASSERT_OK(held);
  EXPECT_KIND(owner->leave(*held, number(), "there"), absent);
  ASSERT_OK(owner->release_own(*held));
  ASSERT_OK(put(*client(), "a", "one"));
  EXPECT_EQ(ends_, 0);
}

TEST_F(DepartureTest, NorWhereNobodyIsToSeeHowItIsOpened) {
  begin();
  const auto owner = operators();
  const auto held = owner->hold_alone(held_max);
  ASSERT_OK(held);
  const Status left = owner->leave(*held, number(), "rbd:pool/vm:key=c2VjcmV0");
  EXPECT_KIND(left, invalid_argument);
  EXPECT_EQ(left.error().text().find("c2VjcmV0"), std::string::npos);
  EXPECT_TRUE(places_.empty());
  ASSERT_OK(owner->release_own(*held));
  ASSERT_OK(put(*client(), "a", "one"));
  EXPECT_EQ(ends_, 0);
}

TEST_F(DepartureTest, WhetherASealThatFailedIsThereNobodyKnows) {
  begin();
  const auto owner = operators();
  const auto held = owner->hold_alone(held_max);
  ASSERT_OK(held);
  *room_ = 1;
  const Status left = owner->leave(*held, number(), "there");
  EXPECT_KIND(left, io);
  EXPECT_NE(left.error().cause().find("no space left"), std::string::npos);
  EXPECT_EQ(ends_, 1);
}

TEST_F(DepartureTest, WhatIsWantedAfterwardsIsNeitherDoneNorAnswered) {
  begin();
  const auto changer = client();
  ASSERT_OK(put(*changer, "a", "one"));
  const auto owner = operators();
  const auto held = owner->hold_alone(held_max);
  ASSERT_OK(held);
  auto waits = std::async(std::launch::async, [&] { return put(*changer, "a", "two"); });
  const auto sealed = owner->sealed_superblocks(number());
  ASSERT_OK(sealed);
  EXPECT_EQ(sealed->superblocks.size(), 3U);
  EXPECT_EQ(sealed->location, "disk");
  ASSERT_OK(owner->leave(*held, number(), "there"));
  EXPECT_EQ(places_, std::vector<std::string>{"there"});
  EXPECT_EQ(ends_, 1);
  static_cast<void>(owner->release());
  server_.reset();
  const Status answer = waits.get();
  EXPECT_KIND(answer, io); // Its connection is lost: whoever lasts asks the next owner.
  EXPECT_TRUE(keeper_.info().sealed);
  EXPECT_EQ(keeper_.info().hand_over, number());
  auto store = keeper_.use(StoreGate::Purpose::read);
  ASSERT_OK(store);
  EXPECT_EQ(*(*store)->read("a"), bytes("one"));
}

} // namespace
} // namespace vnvram::test
