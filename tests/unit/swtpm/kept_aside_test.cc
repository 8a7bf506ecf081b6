#include "swtpm/kept_aside.h"

#include "support/expect_status.h"
#include "unit/swtpm/place_fixture.h"

namespace vnvram::test {
namespace {

class KeptAsideTest : public PlaceTest {
protected:
  Result<std::string> keep() {
    return keep_aside(*Folder::open(directory_.path("")), "tpm2-00.permall");
  }

  std::string state_ = path("tpm2-00.permall");
  Bytes bytes_ = Bytes(1000, std::byte{7});
};

TEST_F(KeptAsideTest, IsTheSameFileByAnotherName) {
  put(state_, bytes_);
  const auto kept = keep();
  ASSERT_OK(kept);
  EXPECT_EQ(*kept, state_ + ".swtpm");
  EXPECT_EQ(get(*kept), bytes_);
  EXPECT_EQ(get(state_), bytes_);
}

TEST_F(KeptAsideTest, IsKeptOnceHoweverOftenItIsTried) {
  put(state_, bytes_);
  ASSERT_OK(keep());
  EXPECT_EQ(keep().value(), state_ + ".swtpm");
  EXPECT_FALSE(std::filesystem::exists(state_ + ".swtpm.2"));
}

TEST_F(KeptAsideTest, LeavesOlderOnesAsTheyAre) {
  const Bytes older(10, std::byte{1});
  put(state_ + ".swtpm", older);
  std::filesystem::create_directory(state_ + ".swtpm.2");
  std::filesystem::create_symlink("nowhere", state_ + ".swtpm.3");
  put(state_, bytes_);
  EXPECT_EQ(keep().value(), state_ + ".swtpm.4");
  EXPECT_EQ(get(state_ + ".swtpm"), older);
  EXPECT_EQ(get(state_ + ".swtpm.4"), bytes_);
}

TEST_F(KeptAsideTest, WhatIsNotThereCannotBeKept) {
  EXPECT_FALSE(keep().ok());
  EXPECT_FALSE(std::filesystem::exists(state_ + ".swtpm"));
}

} // namespace
} // namespace vnvram::test
