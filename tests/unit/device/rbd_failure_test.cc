// RbdDevice on a cluster that fails, and as an owner that is shut out.
#include <string>

#include "device/left_behind.h"
#include "support/test_clock.h"
#include "unit/device/rbd_failure_fixture.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

using std::chrono::milliseconds;

class RbdFailureTest : public RbdFailureFixture {};

TEST_F(RbdFailureTest, AnOwnerThatIsShutOutIsNeverToldSuccess) {
  const std::string location = make_image();
  auto owner = open_locked(location);
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  shut_out_owner();
  const auto next = open_locked(location); // At once: nobody has to find out that it is dead.
  ASSERT_OK(next->write_durable(0, blocks_of(2)));
  expect_nothing_works(*owner, ErrorKind::in_use);
  owner.reset(); // It does not take the lock from the next one.
  EXPECT_EQ(block_at(*next, 0), blocks_of(2));
  ASSERT_OK(next->write_durable(0, blocks_of(3)));
}

// Without the feature there is no lock, and the next owner needs none.
TEST_F(RbdFailureTest, AnOwnerWhoseLockFeatureIsTakenAwayWritesNothingMore) {
  const std::string location = make_image("layering,exclusive-lock");
  const auto owner = open_locked(location);
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  cluster().run("rbd feature disable " + test_name() + " exclusive-lock");
  const auto next = open_locked(location);
  EXPECT_FALSE(next->capabilities().lock);
  ASSERT_OK(next->write_durable(0, blocks_of(2)));
  expect_nothing_works(*owner, ErrorKind::io);
  cluster().run("rbd feature enable " + test_name() + " exclusive-lock");
  expect_nothing_works(*owner, ErrorKind::io); // The lock is not back.
  EXPECT_EQ(block_at(*open(location, Access::read_only), 0), blocks_of(2));
}

// librbd would take the lock for it, and give it to whoever asks.
TEST_F(RbdFailureTest, AnOwnerWithoutALockWhoseImageGainsTheFeatureWritesNothingMore) {
  const std::string location = make_image("layering");
  const auto owner = open_locked(location);
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  cluster().run("rbd feature enable " + test_name() + " exclusive-lock");
  const Status refused = owner->write_durable(0, blocks_of(9));
  EXPECT_KIND(refused, io);
  EXPECT_NE(refused.error().cause().find("was added"), std::string::npos) << refused.error().text();
  const auto next = open_locked(location);
  EXPECT_TRUE(next->capabilities().lock);
  ASSERT_OK(next->write_durable(0, blocks_of(2)));
  expect_nothing_works(*owner, ErrorKind::io);
  EXPECT_EQ(block_at(*next, 0), blocks_of(2));
}

// Of a write over the new end librbd leaves out the rest, and calls it done.
TEST_F(RbdFailureTest, AnOwnerWhoseImageIsMadeSmallerIsToldOfIt) {
  const std::string location = make_image("layering");
  const auto owner = open_locked(location);
  const std::uint64_t half = rbd_size_bytes / 2;
  ASSERT_OK(owner->write_durable(half - block_size_bytes, blocks_of(1, 2)));
  cluster().run("rbd resize " + test_name() + " --size 4M --allow-shrink --no-progress");
  EXPECT_KIND(owner->write_durable(half - block_size_bytes, blocks_of(2, 2)), io);
  expect_nothing_works(*owner, ErrorKind::io);
}

TEST_F(RbdFailureTest, NoAnswerIsWaitedForWithoutEnd) {
  const std::string location = make_image();
  ASSERT_OK(open_locked(location)->write_durable(0, blocks_of(1)));
  auto owner = open_hasty(location, milliseconds(2000));
  ASSERT_NE(owner, nullptr);
  cluster().freeze_osd();
  const Status late = owner->write_durable(block_size_bytes, blocks_of(2));
  EXPECT_KIND(late, io);
  EXPECT_NE(late.error().cause().find("no answer"), std::string::npos) << late.error().text();
  EXPECT_KIND(RbdDevice::open(location, Access::read_only, milliseconds(1000)), io);
  cluster().thaw_osd();
  expect_nothing_works(*owner, ErrorKind::io); // For good, although the cluster is back.
  EXPECT_EQ(owner->flush().error().cause(), late.error().cause());
  EXPECT_EQ(owner->size_bytes().error().cause(), late.error().cause());
  // It is shut out already, so that nobody has to wait for its end.
  const auto next = open_locked(location);
  EXPECT_EQ(block_at(*next, 0), blocks_of(1));
  ASSERT_OK(next->write_durable(0, blocks_of(3)));
  owner.reset();
  ASSERT_OK(next->write_durable(0, blocks_of(4)));
}

TEST_F(RbdFailureTest, AGrowthOfUnknownOutcomeIsNoneAnyMore) {
  const std::string location = make_image();
  auto owner = open_hasty(location, milliseconds(1000));
  ASSERT_NE(owner, nullptr);
  cluster().freeze_osd();
  EXPECT_KIND(owner->resize(2 * rbd_size_bytes), io);
  cluster().thaw_osd();
  expect_nothing_works(*owner, ErrorKind::io);
  owner.reset();
  const auto next = open_locked(location);
  ASSERT_OK(next->resize(4 * rbd_size_bytes));
  EXPECT_EQ(*next->size_bytes(), 4 * rbd_size_bytes);
}

// librados asks ten times over, each time for as long as its deadline says.
TEST_F(RbdFailureTest, AMonitorThatDoesNotAnswerIsNotWaitedForTenTimesOver) {
  const std::string location = make_image();
  cluster().kill_monitor();
  const auto begin = std::chrono::steady_clock::now();
  const auto opened = RbdDevice::open(location, Access::read_only, milliseconds(1000));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(9));
  EXPECT_KIND(opened, io);
  EXPECT_NE(opened.error().cause().find("no answer"), std::string::npos) << opened.error().text();
  cluster().restart_monitor();
  open(location, Access::read_only);
  EXPECT_TRUE(comes_true([] { return count_left_behind() == 0; }));
}

/// What the image holds, byte for byte.
Bytes content_of(RbdDevice& device) {
  Bytes bytes(rbd_size_bytes);
  EXPECT_OK(device.read(0, bytes));
  return bytes;
}

// No entry keeps the first one from writing: its own look has to, ahead of what it writes.
TEST_F(RbdFailureTest, AnOwnerThatRestedWhileItsLockWasTakenAwayWritesNothing) {
  const std::string location = make_image();
  NewBlob blob;
  blob.spec = {.name = "x", .type = "t", .size_max_bytes = 8192};
  CreateOptions create;
  create.blobs = {blob};
  ASSERT_OK(create_image_file(location, rbd_size_bytes, create));
  test::TestClock clock;
  const auto open_store = [&] {
    OpenOptions options;
    options.clock = &clock;
    options.background = false;
    auto store = Store::open(open(location), std::move(options));
    EXPECT_TRUE(store.ok()) << (store ? "" : store.error().text());
    return store ? *std::move(store) : nullptr;
  };
  const auto first = open_store();
  ASSERT_OK(first->write("x", blocks_of(1)));
  take_lock_away();
  {
    const auto second = open_store();
    ASSERT_OK(second->write("x", blocks_of(2)));
    ASSERT_OK(second->close());
  }
  const auto reader = open(location, Access::read_only);
  const Bytes before = content_of(*reader);
  clock.advance(std::chrono::seconds(10));
  EXPECT_FALSE(first->write("x", blocks_of(3)).ok());
  EXPECT_EQ(content_of(*reader), before);
  EXPECT_FALSE(first->close().ok());
  EXPECT_EQ(*open_store()->read("x"), blocks_of(2));
}

} // namespace
} // namespace vnvram
