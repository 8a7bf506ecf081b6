// Where an operator's word opens a place of a move, and where not: never so that two places open.
#include <filesystem>
#include <functional>
#include <string>

#include "backup/image_move.h"
#include "backup/store_move_source.h"
#include "store/move_marks.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

class MovedPlacesTest : public ::testing::Test {
protected:
  void SetUp() override {
    CreateOptions create;
    create.blobs.push_back({.spec = spec("a", 64 << 10U), .content = pattern(30000, 1)});
    ASSERT_OK(create_image_file(old_, 0, create));
  }

  static Result<std::unique_ptr<Store>> open(const std::string& place) {
    auto device = open_device(place, Access::read_write);
    return device ? Store::open(*std::move(device), {.background = false})
                  : Result<std::unique_ptr<Store>>(device.error());
  }
  static Status unseal(const std::string& place) {
    auto device = open_device(place, Access::read_write);
    return device ? unseal_image(*std::move(device)) : Status(device.error());
  }
  static SeenMove seen(const std::string& place) {
    const auto device = open_device(place, Access::read_only);
    EXPECT_OK(device);
    return device ? see_move(**device) : SeenMove();
  }
  static void move(const std::string& from, const std::string& to) {
    const auto store = open(from);
    ASSERT_OK(store);
    StoreMoveSource source(**store, from, KeyRing());
    ASSERT_OK(move_image(source, {.path = to}, {}));
    ASSERT_OK((*store)->close());
  }
  /// As if it was killed right before the write that decides.
  static void move_cut(const std::string& from, const std::string& to) {
    const std::string kept = from + ".kept";
    std::filesystem::copy_file(from, kept);
    move(from, to);
    std::filesystem::rename(kept, from);
  }
  void must_refuse(const Status& status, const std::string& words) {
    ASSERT_FALSE(status.ok());
    EXPECT_KIND(status, sealed);
    EXPECT_NE(status.error().text().find(words), std::string::npos) << status.error().text();
  }

  TemporaryDirectory folder_;
  const std::string old_ = folder_.path("old.nvram");
  const std::string new_ = folder_.path("new.nvram");
  const std::string left_ = folder_.path("left.nvram");
};

TEST_F(MovedPlacesTest, WhatAnUnfinishedMoveLeftStaysSealedWhenTheImageWentElsewhere) {
  move_cut(old_, left_);
  must_refuse(unseal(left_), "the image is still " + old_);
  move(old_, new_);
  must_refuse(unseal(left_), "go on with " + new_);
  const auto refused = open(left_);
  ASSERT_FALSE(refused.ok());
  EXPECT_KIND(refused, sealed);
  EXPECT_NE(refused.error().remedy().find("go on with " + new_), std::string::npos);
  EXPECT_EQ(refused.error().text().find("go on with " + old_), std::string::npos);
  ASSERT_OK(open(new_));
  must_refuse(unseal(left_), "went on elsewhere, at " + new_);
}

TEST_F(MovedPlacesTest, NeitherWhenItIsSealedThereForSomethingElse) {
  move_cut(old_, left_);
  ASSERT_OK((*open(old_))->seal());
  must_refuse(unseal(left_), "and from there elsewhere");
}

TEST_F(MovedPlacesTest, AWordOpensTheNewPlaceIfTheOldOneIsSealedForItOrIsGone) {
  move(old_, new_);
  ASSERT_OK(unseal(new_));
  ASSERT_OK(open(new_));
  must_refuse(unseal(old_), "was opened since");
  move_cut(new_, left_);
  std::filesystem::remove(new_);
  ASSERT_OK(unseal(left_));
}

TEST_F(MovedPlacesTest, AWordDoesNotOpenTheOldPlaceOnceTheNewOneWasOpened) {
  move(old_, new_);
  {
    const auto store = open(new_);
    ASSERT_OK(store);
    must_refuse(unseal(old_), "which somebody has open");
  }
  must_refuse(unseal(old_), "which was opened since");
  must_refuse(unseal(old_), "delete it, and `unseal`");
  EXPECT_KIND(open(old_), sealed);
  ASSERT_OK(open(new_));
  std::filesystem::remove(new_);
  ASSERT_OK(unseal(old_));
  ASSERT_OK(open(old_));
}

TEST_F(MovedPlacesTest, NorWhenSomebodyHasBegunAnEpochThere) {
  move(old_, new_);
  auto device = open_device(new_, Access::read_write);
  ASSERT_OK(device);
  ASSERT_OK(seal_image(*std::move(device))); // Opens it, and the seal stays as it is.
  must_refuse(unseal(old_), "which was opened since");
  ASSERT_OK(open(new_));
}

TEST_F(MovedPlacesTest, NorWhenTheNewOneHasMovedOn) {
  move(old_, new_);
  move(new_, left_);
  must_refuse(unseal(old_), "which was opened since");
}

TEST_F(MovedPlacesTest, ANewPlaceThatNobodyOpenedDoesNotOpenBehindAWordAtTheOldOne) {
  move(old_, new_);
  ASSERT_OK(unseal(old_));
  EXPECT_KIND(open(new_), sealed);
  must_refuse(unseal(new_), "the image is still " + old_);
  ASSERT_OK(open(old_));
}

TEST_F(MovedPlacesTest, AnotherImageThereIsNobody) {
  move(old_, new_);
  std::filesystem::remove(new_);
  ASSERT_OK(create_image_file(new_, 0, {}));
  const auto another = open(new_);
  ASSERT_OK(another);
  ASSERT_OK(unseal(old_));
  ASSERT_OK(open(old_));
}

TEST_F(MovedPlacesTest, TheNewPlaceInTheOldOnesPlaceTakesAWord) {
  for (const bool is_linked : {false, true}) { // By its name, and by another one.
    move_cut(old_, new_);
    std::filesystem::rename(new_, old_);
    const std::string place = is_linked ? folder_.path("link.nvram") : old_;
    if (is_linked) {
      std::filesystem::create_symlink(old_, place);
    }
    const auto refused = open(place);
    ASSERT_FALSE(refused.ok());
    must_refuse(Status(refused.error()), "a place that it has taken itself since");
    must_refuse(seen(place).came, "a place that it has taken itself since");
    ASSERT_OK(unseal(place));
    ASSERT_OK(open(place));
  }
}

TEST_F(MovedPlacesTest, SoDoesTheOldOneInTheNewOnesPlace) {
  move(old_, new_);
  std::filesystem::rename(old_, new_);
  const auto refused = open(new_);
  ASSERT_FALSE(refused.ok());
  EXPECT_KIND(refused, sealed);
  EXPECT_EQ(refused.error().text().find("open " + new_), std::string::npos);
  ASSERT_OK(unseal(new_));
  ASSERT_OK(open(new_));
}

TEST_F(MovedPlacesTest, WhoReadsSeesWhereItIs) {
  EXPECT_FALSE(seen(old_).to || seen(old_).from);
  move_cut(old_, left_);
  EXPECT_EQ(seen(left_).from, old_);
  must_refuse(seen(left_).came, "an unfinished move");
  move(old_, new_);
  EXPECT_EQ(seen(old_).to, new_);
  EXPECT_FALSE(seen(old_).from);
  EXPECT_EQ(seen(new_).from, old_);
  EXPECT_OK(seen(new_).came);
  ASSERT_OK(open(new_));
  EXPECT_FALSE(seen(new_).to || seen(new_).from);
  EXPECT_EQ(seen(old_).to, new_);
}

} // namespace
} // namespace vnvram::test
