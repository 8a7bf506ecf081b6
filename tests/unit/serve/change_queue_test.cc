// The changes of a session that wait for the end of a hold.
#include "serve/change_queue.h"

#include <atomic>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "device/memory_device.h"
#include "support/expect_status.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

class ChangeQueueTest : public ::testing::Test {
protected:
  void SetUp() override {
    auto device =
        std::make_unique<MemoryDevice>(std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U));
    ASSERT_OK(create_image(*device, {}));
    ASSERT_OK(keeper_.attach(std::move(device), {.location = "disk"}));
  }
  void TearDown() override { EXPECT_OK(keeper_.detach()); }
  ChangeQueue::Change note(char what) {
    return [this, what](Result<StoreUse>& store) {
      EXPECT_TRUE(store.ok());
      made_ += what;
      return true;
    };
  }

  ImageKeeper keeper_{{}};
  ChangeQueue queue_{keeper_};
  std::atomic<bool> stops_ = false;
  std::string made_;
};

TEST_F(ChangeQueueTest, WhatIsHeldIsMadeInOrderBehindTheHold) {
  queue_.add(note('a'));
  ASSERT_OK(keeper_.hold());
  queue_.add(note('b'));
  queue_.add(note('c'));
  queue_.go_on(stops_);
  EXPECT_EQ(made_, "a");
  keeper_.release();
  queue_.add(note('d')); // Nobody has told it to go on yet.
  EXPECT_EQ(made_, "a");
  queue_.go_on(stops_);
  EXPECT_EQ(made_, "abcd");
}

TEST_F(ChangeQueueTest, NothingIsMadeAfterTheSessionWasToldToStop) {
  ASSERT_OK(keeper_.hold());
  queue_.add(note('a'));
  queue_.add([this](Result<StoreUse>&) {
    made_ += 'b';
    stops_ = true; // From another thread, at any moment.
    return true;
  });
  queue_.add(note('c'));
  keeper_.release();
  queue_.go_on(stops_);
  EXPECT_EQ(made_, "ab");
}

TEST_F(ChangeQueueTest, AtItsEndThoseAreMadeThatNobodyIsToldOf) {
  kj::EventLoop loop;
  const kj::WaitScope scope(loop);
  ASSERT_OK(keeper_.hold());
  queue_.add(note('a'));
  auto call = queue_.run(note('b'));
  queue_.add(note('c'));
  queue_.finish();
  EXPECT_EQ(made_, "");
  keeper_.release();
  queue_.finish();
  EXPECT_EQ(made_, "ac");
}

TEST_F(ChangeQueueTest, OneThatHasToWaitByItsOwnWordHoldsUpThoseBehindIt) {
  bool may = false;
  queue_.add([&](Result<StoreUse>&) {
    made_ += may ? "a" : "";
    return may;
  });
  queue_.add(note('b'));
  queue_.go_on(stops_);
  EXPECT_EQ(made_, "");
  may = true;
  queue_.go_on(stops_);
  EXPECT_EQ(made_, "ab");
}

} // namespace
} // namespace vnvram::test
