// A hand-over of an image that two hosts reach, cut at every operation (invariants 7c to 7h):
// whoever may go on then has all that was acknowledged, and when he has done so nobody else may.
#include <functional>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/shared_image.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

using Disk = std::shared_ptr<SimulatedDisk>;
using Content = std::vector<std::byte>;

/// Looks at what each cut of a hand-over leaves.
class HandOverCuts {
public:
  HandOverCuts(Disk disk, StoreState acknowledged)
      : acknowledged_(std::move(acknowledged)), disk_(std::move(disk)) {
    disk_->set_hook([this](const SimulatedOperation& operation) {
      if (operation.kind != OperationKind::read) {
        look(operation);
      }
    });
  }
  ~HandOverCuts() { disk_->set_hook({}); }
  HandOverCuts(const HandOverCuts&) = delete;
  HandOverCuts& operator=(const HandOverCuts&) = delete;

  Status commit(Store& store, bool deferred = false) {
    Transaction transaction;
    transaction.write_range("a", random_.below(4000), random_.bytes(1 + random_.below(3000)));
    const auto& update = transaction.updates().front();
    submitted_ = acknowledged_;
    submitted_.apply(transaction);
    Status done = deferred
                      ? store.write_range_deferred(update.blob, update.offset_bytes, update.bytes)
                      : store.commit(transaction);
    if (done.ok() && !deferred) {
      acknowledge();
    }
    return done;
  }
  /// From here on either of them may go on that the image lets.
  void hands_over(const Ways& ways) { ways_ = ways; }
  /// It is durable that it is sealed, and with all that was deferred.
  void handed_over() {
    acknowledge();
    must_be_sealed_ = true;
  }
  void is_unsealed_now() { must_be_sealed_ = false; }
  /// Somebody has gone on, and the seal is off for good.
  void gone_on() { ways_may_open_ = false; }
  void new_owner() {
    ways_.reset();
    ways_may_open_ = true;
  }
  [[nodiscard]] std::uint64_t images() const { return images_; }

private:
  static constexpr std::uint64_t choices_max = 6;

  void acknowledge() { acknowledged_ = submitted_; }

  void look(const SimulatedOperation& operation) {
    if (testing::Test::HasFailure()) {
      return;
    }
    const CrashState state(*disk_, &operation);
    for (std::uint64_t number = 0; number < choices_max; ++number) {
      const Content image = state.power_cut({.number = number}, choices_max);
      judge([&] { return std::make_shared<SimulatedDisk>(image); });
    }
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
      judge([&] { return state.process_death(seed); });
    }
  }

  void judge(const std::function<Disk()>& left) {
    ++images_;
    unsigned goes_on = expect_one(left, std::nullopt);
    const bool sealed = goes_on == 0;
    ASSERT_FALSE(must_be_sealed_ && !sealed); // INV7g: nobody starts it without a word.
    if (ways_) {
      const unsigned destination = expect_one(left, ways_->destination);
      ASSERT_EQ(destination == 1, sealed); // INV7e: nobody comes before the seal, or behind it.
      const unsigned source = expect_one(left, ways_->source);
      ASSERT_TRUE(source == 1 || !sealed);
      ASSERT_FALSE(!ways_may_open_ && source + destination > 0); // INV7f
      goes_on += destination + source;
    }
    ASSERT_GT(goes_on, 0U); // INV7h
    // A stream of another hand-over, which is late.
    ASSERT_EQ(expect_one(left, GoOn{.hand_over = hand_over_number(99)}), 0U);
  }

  /// Opens it in this way, and goes on; then nobody else does. Returns 0 if it may not.
  unsigned expect_one(const std::function<Disk()>& left, const std::optional<GoOn>& way) {
    const Disk disk = left();
    auto store = open_as(disk, way);
    if (!store.ok()) {
      EXPECT_TRUE(store.error().kind() == ErrorKind::sealed ||
                  store.error().kind() == ErrorKind::stale ||
                  store.error().kind() == ErrorKind::in_use)
          << store.error().text();
      return 0;
    }
    if ((*store)->info().sealed) {
      EXPECT_OK((*store)->unseal());
    }
    expect_content(**store);
    EXPECT_OK((*store)->write("a", Content(3, std::byte{7}))); // INV7c, for who has a machine.
    EXPECT_OK((*store)->close());
    if (ways_) {
      EXPECT_FALSE(open_as(disk, ways_->destination).ok());
      EXPECT_FALSE(open_as(disk, ways_->source).ok());
    }
    return 1;
  }

  // INV7d
  void expect_content(Store& store) const {
    const Result<StoreState> found = StoreState::capture(store);
    ASSERT_OK(found);
    EXPECT_TRUE(*found == acknowledged_ || *found == submitted_)
        << found->difference(acknowledged_);
  }

  Random random_{17};
  StoreState acknowledged_;
  StoreState submitted_ = acknowledged_; ///< With what is on its way.
  Disk disk_;
  std::optional<Ways> ways_;
  bool must_be_sealed_ = false;
  bool ways_may_open_ = true;
  std::uint64_t images_ = 0;
};

class EveryHandOverCutTest : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    StoreState content;
    disk_ = shared_disk(GetParam(), content);
    cuts_.emplace(disk_, content);
  }
  void TearDown() override { EXPECT_GT(cuts_->images(), 300U); }

  /// Returns how each could go on.
  Ways hand_over(Store& source, unsigned as) {
    const Ways ways(hand_over_number(as), epoch_of(source));
    cuts_->hands_over(ways);
    EXPECT_OK(source.seal(*ways.destination.hand_over));
    cuts_->handed_over();
    source.abandon();
    return ways;
  }
  std::unique_ptr<Store> go_on(const GoOn& way) {
    auto store = open_as(disk_, way);
    EXPECT_OK(store);
    EXPECT_FALSE((*store)->write("a", Content(3)).ok());
    cuts_->is_unsealed_now();
    EXPECT_OK((*store)->unseal());
    cuts_->gone_on();
    EXPECT_OK(cuts_->commit(**store));
    return *std::move(store);
  }

  Disk disk_;
  std::optional<HandOverCuts> cuts_;
};

TEST_P(EveryHandOverCutTest, OneOfThemGoesOnWhereverItIsCut) {
  auto owner = open_as(disk_, std::nullopt);
  ASSERT_OK(owner);
  ASSERT_OK(cuts_->commit(**owner));
  ASSERT_OK(cuts_->commit(**owner, true));
  const Ways first = hand_over(**owner, 1);
  auto there = go_on(first.destination);
  ASSERT_OK(cuts_->commit(*there));
  cuts_->new_owner();
  const Ways back = hand_over(*there, 2); // And back again.
  owner = go_on(back.destination);
  ASSERT_OK(cuts_->commit(**owner));
}

TEST_P(EveryHandOverCutTest, TheSourceGoesOnWhereverItIsCut) {
  auto owner = open_as(disk_, std::nullopt);
  ASSERT_OK(owner);
  ASSERT_OK(cuts_->commit(**owner));
  const Ways first = hand_over(**owner, 1);
  auto here = go_on(first.source);
  ASSERT_OK(cuts_->commit(*here, true));
  cuts_->new_owner();
  const Ways second = hand_over(*here, 2); // Now it comes about.
  auto there = go_on(second.destination);
  ASSERT_OK(cuts_->commit(*there));
}

INSTANTIATE_TEST_SUITE_P(, EveryHandOverCutTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "Encrypted" : "Plain"; });

} // namespace
} // namespace vnvram::test
