// What a store does with its anchor, and what becomes of it when that cannot be written.
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/memory_anchor.h"
#include "support/test_clock.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using test::MemoryAnchor;
using Moment = AnchorPolicy::Moment;
constexpr std::chrono::seconds period{60};

class StoreAnchor : public StoreFixture {
protected:
  void SetUp() override {
    create({spec("a", 100)});
    ASSERT_OK(accept_anchor(std::make_unique<MemoryDevice>(disk_), anchor_));
  }
  [[nodiscard]] OpenOptions with(Moment moment) const {
    OpenOptions options = inline_options();
    options.anchor = {.anchor = anchor_, .policy = {.moment = moment, .period = period}};
    return options;
  }
  [[nodiscard]] std::uint64_t anchored() const { return anchor_->point()->generation; }

  std::shared_ptr<MemoryAnchor> anchor_ = std::make_shared<MemoryAnchor>();
};

TEST_F(StoreAnchor, IsWrittenForEachCommitBeforeItsAnswer) {
  const auto store = open(with(Moment::commit));
  for (int commit = 0; commit < 3; ++commit) {
    ASSERT_OK(store->write("a", bytes(std::to_string(commit))));
    EXPECT_EQ(anchor_->point(), [&] {
      AnchorPoint point = store->image_point();
      point.each_commit = true;
      return point;
    }());
    EXPECT_EQ(anchored(), store->info().generation);
  }
  const unsigned writes = anchor_->write_count();
  ASSERT_OK(store->write("a", bytes("2"))); // Changes nothing.
  ASSERT_OK(store->close());
  EXPECT_EQ(anchor_->write_count(), writes);
  EXPECT_FALSE(anchor_->is_locked());
}

TEST_F(StoreAnchor, IsWrittenAtOpeningAndClosing) {
  const auto store = open(with(Moment::open));
  const std::uint64_t before = anchored();
  EXPECT_EQ(anchor_->point()->epoch_number, store->info().epoch);
  EXPECT_FALSE(anchor_->point()->each_commit);
  ASSERT_OK(store->write("a", bytes("1")));
  ASSERT_OK(store->write("a", bytes("2")));
  EXPECT_EQ(anchored(), before);
  EXPECT_TRUE(anchor_->is_locked());
  ASSERT_OK(store->close());
  EXPECT_EQ(anchored(), before + 2);
  EXPECT_FALSE(anchor_->is_locked());
}

// After a migration with the image the source seals what it leaves, when the copy has an owner.
TEST_F(StoreAnchor, OfACopyThatHasGoneOnIsNotTakenBack) {
  const auto left = open(with(Moment::open));
  ASSERT_OK(left->write("a", bytes("1")));
  anchor_->unlock(); // One that two hosts ask knows no lock.
  auto there = Store::open(std::make_unique<MemoryDevice>(copy_of_disk()), with(Moment::open));
  ASSERT_OK(there);
  const std::optional<AnchorPoint> anchored = anchor_->point();
  ASSERT_OK(left->seal());
  EXPECT_EQ(anchor_->point(), anchored);
  ASSERT_OK(left->close());
  EXPECT_EQ(anchor_->point(), anchored);
  ASSERT_OK((*there)->write("a", bytes("2")));
  ASSERT_OK((*there)->close());
  EXPECT_EQ(anchor_->point()->generation, anchored->generation + 1);
}

TEST_F(StoreAnchor, IsWrittenAfterEachPeriodInWhichSomethingWasCommitted) {
  test::TestClock clock;
  OpenOptions options = with(Moment::every);
  options.background = true;
  options.idle_checkpoint_after = std::chrono::milliseconds(0);
  options.clock = &clock;
  const auto store = open(options);
  const std::uint64_t before = anchored();
  const unsigned writes = anchor_->write_count();
  ASSERT_OK(store->write("a", bytes("1")));
  ASSERT_TRUE(clock.is_awaited(clock.now() + period));
  ASSERT_OK(store->write("a", bytes("2")));
  clock.advance(period - std::chrono::nanoseconds(1));
  EXPECT_EQ(anchored(), before);
  clock.advance(std::chrono::nanoseconds(1));
  anchor_->wait_for_writes(writes + 1);
  ASSERT_OK(store->write("a", bytes("3")));
  ASSERT_TRUE(clock.is_awaited(clock.now() + period)); // The write before is done.
  EXPECT_EQ(anchored(), before + 2);
  ASSERT_OK(store->close());
  EXPECT_EQ(anchored(), before + 3);
}

TEST_F(StoreAnchor, IsWrittenByACommitWhereThereAreNoThreads) {
  test::TestClock clock;
  OpenOptions options = with(Moment::every);
  options.clock = &clock;
  const auto store = open(options);
  const std::uint64_t before = anchored();
  ASSERT_OK(store->write("a", bytes("1")));
  clock.advance(period - std::chrono::nanoseconds(1));
  ASSERT_OK(store->write("a", bytes("2")));
  EXPECT_EQ(anchored(), before);
  clock.advance(std::chrono::nanoseconds(1));
  ASSERT_OK(store->write("a", bytes("3")));
  EXPECT_EQ(anchored(), before + 3);
}

TEST_F(StoreAnchor, FailingForLongPoisonsAPeriodicOne) {
  test::TestClock clock;
  OpenOptions options = with(Moment::every);
  options.background = true;
  options.idle_checkpoint_after = std::chrono::milliseconds(0);
  options.clock = &clock;
  unsigned told = 0;
  std::promise<void> poisoned;
  options.failed_in_background = [&](const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    ++told;
  };
  const auto store = open(options);
  const unsigned writes = anchor_->write_count();
  anchor_->set_broken(true);
  ASSERT_OK(store->write("a", bytes("1")));
  for (unsigned failure = 1; failure < 10; ++failure) {
    ASSERT_TRUE(clock.is_awaited(clock.now() + period));
    EXPECT_FALSE(store->info().poisoned);
    clock.advance(period);
    anchor_->wait_for_writes(writes + failure);
  }
  ASSERT_TRUE(clock.is_awaited(clock.now() + period));
  EXPECT_EQ(told, 1U); // A series of failures is told once.
  ASSERT_OK(store->write("a", bytes("2")));
  clock.advance(period);
  anchor_->wait_for_writes(writes + 10);
  EXPECT_FALSE(store->close().ok());
  EXPECT_TRUE(store->info().poisoned);
}

TEST_F(StoreAnchor, ThatCannotBeWrittenFailsTheCommitAndPoisons) {
  auto store = open(with(Moment::commit));
  ASSERT_OK(store->write("a", bytes("old")));
  anchor_->set_broken(true);
  EXPECT_KIND(store->write("a", bytes("new")), io);
  EXPECT_KIND(store->write("a", bytes("newer")), poisoned);
  EXPECT_EQ(store->read("a").value(), bytes("old"));
  EXPECT_KIND(store->close(), poisoned);
  store.reset();
  anchor_->set_broken(false);
  store = open(with(Moment::commit)); // One ahead.
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->read("a").value(), bytes("new"));
}

TEST_F(StoreAnchor, ThatCannotBeWrittenFailsTheOpening) {
  const auto before = copy_of_disk();
  anchor_->set_broken(true);
  EXPECT_KIND(try_open(with(Moment::open)), io);
  EXPECT_FALSE(anchor_->is_locked());
  EXPECT_EQ(copy_of_disk()->bytes(), before->bytes());
  anchor_->set_broken(false);
  EXPECT_NE(open(with(Moment::open)), nullptr);
}

TEST_F(StoreAnchor, ThatFailsBehindTheEpochFailsTheOpeningAndKnowsIt) {
  anchor_->set_hook(
      [&](const AnchorPoint& point) { anchor_->set_broken(point.next_epoch_random == 0); });
  for (int time = 0; time < 3; ++time) {
    EXPECT_KIND(try_open(with(Moment::commit)), io);
  }
  anchor_->set_hook({});
  anchor_->set_broken(false);
  EXPECT_NE(open(with(Moment::commit)), nullptr);
}

TEST_F(StoreAnchor, ThatCannotBeWrittenFailsTheClose) {
  const auto store = open(with(Moment::open));
  ASSERT_OK(store->write("a", bytes("1")));
  anchor_->set_broken(true);
  EXPECT_KIND(store->close(), io);
}

TEST_F(StoreAnchor, ThatHoldsNothingIsRefused) {
  const auto empty = std::make_shared<MemoryAnchor>();
  OpenOptions options = with(Moment::open);
  options.anchor.anchor = empty;
  const auto refused = try_open(options);
  EXPECT_KIND(refused, not_at_anchor);
  EXPECT_EQ(empty->write_count(), 0U);
  ASSERT_OK(accept_anchor(std::make_unique<MemoryDevice>(disk_), empty));
  EXPECT_NE(open(options), nullptr);
}

TEST_F(StoreAnchor, InUseElsewhereIsRefused) {
  ASSERT_OK(anchor_->lock());
  EXPECT_KIND(try_open(with(Moment::open)), in_use);
  EXPECT_TRUE(anchor_->is_locked());
  anchor_->unlock();
  EXPECT_NE(open(with(Moment::open)), nullptr);
}

TEST_F(StoreAnchor, KnowsTheSeal) {
  auto store = open(with(Moment::open));
  ASSERT_OK(store->write("a", bytes("1")));
  const auto before = copy_of_disk();
  ASSERT_OK(store->seal());
  EXPECT_TRUE(anchor_->point()->sealed);
  ASSERT_OK(store->close());
  store.reset();
  const auto found = compare_with_anchor(std::make_unique<MemoryDevice>(before), *anchor_);
  ASSERT_OK(found);
  EXPECT_EQ(found->verdict, AnchorVerdict::rolled_back);
  EXPECT_NE(found->reason->find("sealed"), std::string::npos);
  OpenOptions options = with(Moment::open);
  options.accept_sealed = true;
  store = open(options);
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(anchor_->point()->sealed);
  ASSERT_OK(store->unseal());
  EXPECT_FALSE(anchor_->point()->sealed);
}

TEST_F(StoreAnchor, IsNotLookedAtByReaders) {
  OpenOptions options = with(Moment::commit);
  options.access = Access::read_only;
  const auto empty = std::make_shared<MemoryAnchor>();
  options.anchor.anchor = empty;
  ASSERT_NE(open(options), nullptr);
  EXPECT_EQ(empty->write_count(), 0U);
}

TEST_F(StoreAnchor, WhoAcceptsIsToldWhetherItHoldsNothingOrCannotBeRead) {
  const auto found_by = [&](const std::shared_ptr<MemoryAnchor>& anchor) {
    AnchorComparison it;
    EXPECT_OK(accept_anchor(std::make_unique<MemoryDevice>(disk_), anchor,
                            [&](BlockDevice&, const AnchorComparison& found) {
                              it = found;
                              return Status();
                            }));
    return it;
  };
  const auto anchor = std::make_shared<MemoryAnchor>();
  const AnchorComparison empty = found_by(anchor);
  EXPECT_EQ(empty.verdict, AnchorVerdict::missing);
  EXPECT_FALSE(empty.unreadable);
  anchor->set_read_error(Error(ErrorKind::corrupt, "as of another time"));
  EXPECT_KIND(try_open({.background = false, .anchor = {.anchor = anchor}}), corrupt);
  const AnchorComparison unreadable = found_by(anchor);
  EXPECT_EQ(unreadable.verdict, AnchorVerdict::missing);
  ASSERT_TRUE(unreadable.unreadable);
  EXPECT_EQ(unreadable.unreadable->cause(), "as of another time");
  anchor->set_read_error(Error(ErrorKind::io, "it may say something"));
  EXPECT_KIND(accept_anchor(std::make_unique<MemoryDevice>(disk_), anchor), io);
}

// Its commits come between the looks at the anchor and at the image.
TEST_F(StoreAnchor, IsComparedBesideAnOwnerThatGoesOn) {
  const auto store = open(with(Moment::commit));
  for (unsigned busy_looks = 0; busy_looks < 6; ++busy_looks) {
    unsigned looks = 0;
    anchor_->set_read_hook([&] {
      for (int commit = 0; looks < busy_looks && commit < 3; ++commit) {
        ASSERT_OK(store->write("a", bytes(std::to_string(looks) + std::to_string(commit))));
      }
      ++looks;
    });
    const auto found =
        compare_with_anchor(std::make_unique<MemoryDevice>(disk_, Access::read_only), *anchor_);
    ASSERT_OK(found);
    EXPECT_EQ(found->verdict, AnchorVerdict::at_anchor) << found->reason.value_or("");
    EXPECT_EQ(looks, busy_looks + 1);
  }
}

TEST_F(StoreAnchor, ARefusedAcceptanceWritesNothing) {
  const auto before = copy_of_disk();
  const unsigned writes = anchor_->write_count();
  EXPECT_KIND(accept_anchor(std::make_unique<MemoryDevice>(disk_), anchor_,
                            [](BlockDevice&, const AnchorComparison&) {
                              return Status(Error(ErrorKind::exists, "no"));
                            }),
              exists);
  EXPECT_EQ(copy_of_disk()->bytes(), before->bytes());
  EXPECT_EQ(anchor_->write_count(), writes);
}

} // namespace
} // namespace vnvram
