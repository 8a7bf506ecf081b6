// An image that is moved to another device, cut at every operation of both (invariant 7): exactly
// one of the two opens for writing, and has all that was acknowledged.
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "backup/image_mirror.h"
#include "backup/store_move_source.h"
#include "crash/crash_explorer.h"
#include "crash/shared_image.h"
#include "device/memory_device.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/random.h"
#include "support/temporary_directory.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;
using Disk = std::shared_ptr<SimulatedDisk>;

constexpr std::uint64_t choices_max = 6;
constexpr std::uint64_t copy_size_bytes = std::uint64_t{512} << 10U; // With room behind the image.

class MoveCutTest : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    old_ = shared_disk(GetParam(), acknowledged_);
    submitted_ = acknowledged_;
    new_ = std::make_shared<SimulatedDisk>(Image(copy_size_bytes));
    watch(old_);
    watch(new_);
  }

  void watch(const Disk& disk) {
    disk->set_hook([this, disk = disk.get()](const SimulatedOperation& operation) {
      if (operation.kind != OperationKind::read && !HasFailure()) {
        SCOPED_TRACE((disk == old_.get() ? "old " : "new ") + std::to_string(operation.number));
        const CrashState old_state(*old_, disk == old_.get() ? &operation : nullptr);
        const CrashState new_state(*new_, disk == new_.get() ? &operation : nullptr);
        for (std::uint64_t number = 0; number < choices_max; ++number) {
          judge(old_state.power_cut({.number = number}, choices_max),
                new_state.power_cut({.number = number}, choices_max));
        }
      }
    });
  }

  Status commit(Store& store) {
    Transaction transaction;
    transaction.write_range("a", random_.below(4000), random_.bytes(1 + random_.below(3000)));
    submitted_.apply(transaction);
    Status done = store.commit(transaction);
    acknowledged_ = done ? submitted_ : acknowledged_;
    return done;
  }

  /// Where whoever opens the new one looks for the old one.
  void put_old(const Image& image) const {
    std::ofstream file(place_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(image.data()),
               static_cast<std::streamsize>(image.size()));
  }

  void judge(const Image& old_image, const Image& new_image) {
    put_old(old_image);
    const unsigned opened_old = opens(old_image);
    const unsigned opened_new = opens(new_image);
    EXPECT_EQ(opened_old + opened_new, 1U);
    EXPECT_TRUE(!is_gone_ || opened_new == 1);
    old_count_ += opened_old;
    new_count_ += opened_new;
  }

  unsigned opens(const Image& image) {
    const auto disk = std::make_shared<MemoryDisk>(image);
    auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
    if (!store) {
      const ErrorKind kind = store.error().kind();
      EXPECT_TRUE(kind == ErrorKind::sealed || kind == ErrorKind::blank ||
                  kind == ErrorKind::foreign || kind == ErrorKind::corrupt)
          << store.error().text();
      return 0;
    }
    const Result<StoreState> found = StoreState::capture(**store);
    EXPECT_OK(found);
    EXPECT_TRUE(found && (*found == acknowledged_ || *found == submitted_));
    EXPECT_OK((*store)->write("a", Image(3, std::byte{7})));
    EXPECT_OK((*store)->close());
    return 1;
  }

  Random random_{23};
  const TemporaryDirectory folder_;
  const std::string place_ = folder_.path("old");
  StoreState acknowledged_;
  StoreState submitted_;
  Disk old_;
  Disk new_;
  bool is_gone_ = false; ///< The old one is sealed, durably.
  unsigned old_count_ = 0;
  unsigned new_count_ = 0;
};

TEST_P(MoveCutTest, ExactlyOneOfThemOpensWhereverItIsCut) {
  auto store = open_as(old_, std::nullopt);
  ASSERT_OK(store);
  ASSERT_OK(commit(**store));
  StoreMoveSource source(**store, place_, deterministic_options().keys);
  unsigned commits = 0;
  const ImageMirror::Setup setup{
      .source = source, .number = hand_over_number(5), .progress = [&](const BlockCopyProgress&) {
        if (++commits < 3) { // Before anything is held.
          EXPECT_OK(commit(**store));
        }
      }};
  {
    SimulatedDevice device(new_);
    ASSERT_OK(device.lock_for_writing());
    ImageMirror mirror(setup, device);
    ASSERT_OK(mirror.run());
  }
  EXPECT_EQ(new_count_, 0U);
  ASSERT_OK(source.leave(setup.number, "there"));
  is_gone_ = true;
  EXPECT_FALSE(commit(**store).ok());
  submitted_ = acknowledged_;
  ASSERT_OK((*store)->close());
  EXPECT_EQ(open_as(old_, std::nullopt).error().kind(), ErrorKind::sealed);
  EXPECT_NE(open_as(old_, std::nullopt).error().cause().find("it was moved to there"),
            std::string::npos);
  put_old(old_->durable());
  auto next = open_as(new_, std::nullopt);
  ASSERT_OK(next);
  ASSERT_OK(commit(**next));
  ASSERT_OK((*next)->close());
  old_->set_hook({});
  new_->set_hook({});
  EXPECT_GT(old_count_, 50U);
  EXPECT_GT(new_count_, 50U);
  // It is an image like others by now: nobody looks at the old place.
  put_old(Image(4096));
  EXPECT_EQ(opens(new_->durable()), 1U);
}

TEST_P(MoveCutTest, WhoeverOpensTheNewOneIsRefusedWithoutTheOldOne) {
  auto store = open_as(old_, std::nullopt);
  ASSERT_OK(store);
  StoreMoveSource source(**store, place_, deterministic_options().keys);
  const ImageMirror::Setup setup{.source = source, .number = hand_over_number(6)};
  {
    SimulatedDevice device(new_);
    ASSERT_OK(device.lock_for_writing());
    ASSERT_OK(ImageMirror(setup, device).run());
  }
  // While it is there no word helps.
  put_old(old_->durable());
  EXPECT_FALSE(unseal_image(std::make_unique<SimulatedDevice>(new_), deterministic_options()));
  ASSERT_OK(source.leave(setup.number, "there"));
  ASSERT_OK((*store)->close());
  old_->set_hook({});
  new_->set_hook({});
  put_old({});
  const auto refused = open_as(new_, std::nullopt);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::sealed);
  EXPECT_NE(refused.error().cause().find("cannot be looked up there"), std::string::npos);
  // By somebody's word.
  ASSERT_OK(unseal_image(std::make_unique<SimulatedDevice>(new_), deterministic_options()));
  ASSERT_OK(open_as(new_, std::nullopt));
}

INSTANTIATE_TEST_SUITE_P(, MoveCutTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "Encrypted" : "Plain"; });

} // namespace
} // namespace vnvram::test
