// RbdDevice on a cluster that fails for long, or again and again.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "support/long_test.h"
#include "support/process.h"
#include "unit/device/rbd_failure_fixture.h"

namespace vnvram {
namespace {

using std::chrono::milliseconds;

class RbdFailureLongTest : public RbdFailureFixture {
protected:
  static void SetUpTestSuite() {
    if (test::are_long_tests_wanted()) {
      RbdFailureFixture::SetUpTestSuite();
    }
  }
  void SetUp() override {
    if (!has_cluster()) {
      // Two minutes of waiting for a cluster that stands still; `./dev prove` asks for it, and the
      // short form, rbd_failure_test, runs always.
      GTEST_SKIP() << "takes long: VNVRAM_LONG_TESTS=1";
    }
  }
};

/// Writes ever higher numbers, each a block further, until it ends or one fails.
class Load {
public:
  explicit Load(RbdDevice& device) : device_(device), thread_([this] { run(); }) {}
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() {
    ends_ = true;
    thread_.join();
  }

  static std::uint64_t place_of(unsigned number) {
    return (number % place_count) * block_size_bytes;
  }
  [[nodiscard]] unsigned written() const {
    const std::lock_guard lock(mutex_);
    return written_;
  }
  /// Since it was written another number may have taken its place.
  [[nodiscard]] bool may_be_overwritten(unsigned number) const {
    return written() >= number + place_count - 1;
  }
  /// False: one has failed, or it takes too long.
  bool wait_for_more(unsigned count, std::chrono::seconds patience) {
    std::unique_lock lock(mutex_);
    const unsigned goal = written_ + count;
    changed_.wait_for(lock, patience, [&] { return written_ >= goal || has_failed_; });
    return written_ >= goal;
  }

private:
  static constexpr unsigned place_count = 256;

  void run() {
    for (unsigned number = 1; !ends_; ++number) {
      const Status done = device_.write_durable(place_of(number), blocks_of(number));
      EXPECT_OK(done);
      const std::lock_guard lock(mutex_);
      has_failed_ = !done;
      written_ = done ? number : written_;
      changed_.notify_all();
      if (has_failed_) {
        return;
      }
    }
  }

  RbdDevice& device_;
  std::atomic<bool> ends_ = false;
  mutable std::mutex mutex_; ///< Guards the next.
  std::condition_variable changed_;
  unsigned written_ = 0;
  bool has_failed_ = false;
  std::thread thread_;
};

class RbdRestartLongTest : public RbdFailureLongTest {
protected:
  static void SetUpTestSuite() {
    if (test::are_long_tests_wanted()) {
      start_cluster(test::CephCluster::Osd::dies);
    }
  }
};

TEST_F(RbdRestartLongTest, AnOsdThatComesBackInTimeIsWaitedFor) {
  const auto device = open_locked(make_image());
  Load load(*device);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(load.wait_for_more(20, patience));
    cluster().kill_osd();
    const unsigned acknowledged = load.written(); // What comes from here on is on no disk.
    cluster().restart_osd();
    const Bytes block = block_at(*device, Load::place_of(acknowledged));
    EXPECT_TRUE(block == blocks_of(acknowledged) || load.may_be_overwritten(acknowledged));
    ASSERT_TRUE(load.wait_for_more(20, patience));
  }
}

// librbd's word "done" means that the OSD has it on its disk.
TEST_F(RbdRestartLongTest, WhatWasWrittenOutlivesTheOsd) {
  const std::string location = make_image();
  {
    const auto device = open_locked(location);
    for (unsigned number = 0; number < 50; ++number) {
      ASSERT_OK(device->write_durable(number * block_size_bytes, blocks_of(number + 1)));
    }
    cluster().kill_osd(); // Right behind the answer; nothing was flushed.
    cluster().restart_osd();
  }
  const auto reader = open(location, Access::read_only);
  for (unsigned number = 0; number < 50; ++number) {
    EXPECT_EQ(block_at(*reader, number * block_size_bytes), blocks_of(number + 1));
  }
}

// It may have been done while its owner was there, and is not any more once the next one is:
// whether the first one has gone or goes on living, with all that librbd does by itself.
TEST_F(RbdFailureLongTest, AWriteOfUnknownOutcomeDoesNotLandLater) {
  const std::string location = make_image();
  for (const bool stays : {true, false}) {
    SCOPED_TRACE(stays);
    cluster().run("ceph osd blocklist clear");
    auto owner = open_hasty(location, milliseconds(1500));
    ASSERT_NE(owner, nullptr);
    cluster().freeze_osd();
    EXPECT_KIND(owner->write_durable(0, blocks_of(2)), io);
    if (!stays) {
      owner.reset(); // While the OSD has the write in its queue.
    }
    EXPECT_TRUE(comes_true(anybody_is_shut_out));
    cluster().thaw_osd();
    const auto next = open_locked(location);
    ASSERT_OK(next->write_durable(0, blocks_of(3)));
    for (int look = 0; look < 20; ++look) {
      EXPECT_EQ(block_at(*next, 0), blocks_of(3));
    }
    owner.reset();
    EXPECT_EQ(block_at(*next, 0), blocks_of(3));
  }
}

// Where librbd itself has no deadline; at which moment differs.
TEST_F(RbdFailureLongTest, ClosingAndLockingComeToAnEndWhenTheOsdStandsStill) {
  const std::string location = make_image();
  for (int round = 0; round < 6; ++round) {
    // Whoever was left behind gives the lock up in the end, or is shut out by who comes next.
    auto device = open_hasty(location, milliseconds(1000));
    ASSERT_NE(device, nullptr);
    std::thread closing([&] { device.reset(); });
    std::this_thread::sleep_for(milliseconds(10 * round)); // Any moment will do.
    cluster().freeze_osd();
    closing.join();
    cluster().thaw_osd();
  }
  ASSERT_OK(open_locked(location)->write_durable(0, blocks_of(1)));
  const auto locking = open_hasty(location, milliseconds(1000), false);
  ASSERT_NE(locking, nullptr);
  cluster().freeze_osd();
  const auto begin = std::chrono::steady_clock::now();
  const Status late = locking->lock_for_writing();
  const auto took = std::chrono::steady_clock::now() - begin;
  cluster().thaw_osd();
  EXPECT_KIND(late, io);
  EXPECT_NE(late.error().cause().find("no answer"), std::string::npos) << late.error().text();
  // It is a dead owner that is waited for longer.
  EXPECT_LT(took, std::chrono::seconds(60));
  Bytes block(block_size_bytes);
  EXPECT_KIND(locking->read(0, block), io); // It may have the lock after all.
  EXPECT_KIND(locking->lock_for_writing(), io);
}

// The lock is not given up by who may have a write under way and cannot be shut out.
TEST_F(RbdFailureLongTest, WhoCannotShutItselfOutKeepsTheLock) {
  const std::string location = make_image();
  auto owner = open_hasty(location, milliseconds(1000));
  ASSERT_NE(owner, nullptr);
  cluster().kill_monitor(); // Who would take the entry.
  cluster().freeze_osd();
  EXPECT_KIND(owner->write_durable(0, blocks_of(2)), io);
  owner.reset();
  cluster().thaw_osd(); // First, so that it does not lose sight of the owner.
  cluster().restart_monitor();
  const auto next = open(location);
  EXPECT_KIND(next->lock_for_writing(), in_use);
}

TEST_F(RbdFailureLongTest, ADeadOwnersLockIsWaitedFor) {
  const std::string location = make_image();
  {
    const test::Process owner({"env", "CEPH_CONF=" + cluster().conf(), "rbd", "bench", "--io-type",
                               "write", "--io-total", "100G", test_name()});
    ASSERT_TRUE(comes_true([] { return lockers().find("127.0.0.1") != std::string::npos; }));
  }
  // It has died with the lock.
  ASSERT_NE(lockers().find("127.0.0.1"), std::string::npos);
  const auto next = open(location);
  ASSERT_OK(next->lock_for_writing());
  ASSERT_OK(next->write_durable(0, blocks_of(1)));
}

// librbd writes on, and goes on believing that it is the owner.
TEST_F(RbdFailureLongTest, AfterALongWaitItIsFoundOutThatTheLockIsLost) {
  const std::string location = make_image();
  auto owner = open_hasty(location, milliseconds(15000));
  ASSERT_NE(owner, nullptr);
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  take_lock_away();
  Status late;
  cluster().freeze_osd();
  std::thread writing([&] { late = owner->write_durable(0, blocks_of(2)); });
  std::this_thread::sleep_for(std::chrono::seconds(7)); // It has to take long.
  cluster().thaw_osd();
  writing.join();
  EXPECT_KIND(late, in_use);
  EXPECT_NE(late.error().cause().find("lock was lost"), std::string::npos) << late.error().text();
  expect_nothing_works(*owner, ErrorKind::in_use);
}

} // namespace
} // namespace vnvram
