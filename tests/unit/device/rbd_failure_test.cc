// RbdDevice on a cluster that fails, and as an owner that is shut out.
#include <atomic>
#include <string>
#include <thread>

#include "unit/device/rbd_fixture.h"

namespace vnvram {
namespace {

using std::chrono::milliseconds;

class RbdFailureTest : public RbdTest {
protected:
  /// As a take-over does it: the lock's owner may do nothing any more.
  static void shut_out_owner_of(const std::string& name) {
    const std::string lockers = cluster().run("rbd lock ls " + name);
    const std::size_t address = lockers.find("127.0.0.1");
    ASSERT_NE(address, std::string::npos) << lockers;
    cluster().run("ceph osd blocklist add " +
                  lockers.substr(address, lockers.find_first_of(" \n", address) - address));
  }

  /// Tries again and again; none: it never succeeds.
  static std::unique_ptr<RbdDevice> take_over_in_the_end(const std::string& location) {
    const auto deadline = std::chrono::steady_clock::now() + 2 * patience;
    Status last;
    while (std::chrono::steady_clock::now() < deadline) {
      auto device = RbdDevice::open(location, Access::read_write, milliseconds(5000));
      last = device ? (*device)->lock_for_writing() : Status(device.error());
      if (last) {
        return *std::move(device);
      }
    }
    ADD_FAILURE() << last.error().text();
    return nullptr;
  }
};

void expect_nothing_works(RbdDevice& device, ErrorKind kind) {
  Bytes block(block_size_bytes);
  for (const Status& done :
       {device.write_durable(0, blocks_of(9)), device.write(0, blocks_of(9)), device.read(0, block),
        device.flush(), device.write_durable_and_read(0, blocks_of(9), 0, block)}) {
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(kind_name(done.error().kind()), kind_name(kind)) << done.error().text();
  }
}

TEST_F(RbdFailureTest, AnOwnerThatIsShutOutIsNeverToldSuccess) {
  const std::string location = make_image();
  auto owner = open_locked(location);
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  shut_out_owner_of("AnOwnerThatIsShutOutIsNeverToldSuccess");
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
  const std::string name = "AnOwnerWhoseLockFeatureIsTakenAwayWritesNothingMore";
  const auto owner = open_locked(location);
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  cluster().run("rbd feature disable " + name + " exclusive-lock");
  const auto next = open_locked(location);
  EXPECT_FALSE(next->capabilities().lock);
  ASSERT_OK(next->write_durable(0, blocks_of(2)));
  expect_nothing_works(*owner, ErrorKind::io);
  cluster().run("rbd feature enable " + name + " exclusive-lock");
  expect_nothing_works(*owner, ErrorKind::io); // The lock is not back.
  EXPECT_EQ(block_at(*open(location, Access::read_only), 0), blocks_of(2));
}

TEST_F(RbdFailureTest, AnOsdThatComesBackInTimeIsWaitedFor) {
  const auto device = open_locked(make_image());
  std::atomic<bool> ends = false;
  std::atomic<unsigned> written = 0;
  std::thread load([&] {
    while (!ends) {
      const unsigned number = written + 1;
      ASSERT_OK(device->write_durable((number % 256) * block_size_bytes, blocks_of(number)));
      written = number;
    }
  });
  const auto wait_for_more = [&](unsigned count) {
    for (const unsigned from = written; written < from + count;) {
      std::this_thread::yield();
    }
  };
  for (int round = 0; round < 2; ++round) {
    wait_for_more(20);
    cluster().kill_osd();
    const unsigned acknowledged = written; // Of what comes from here on nothing is on a disk.
    cluster().restart_osd();
    const Bytes block = block_at(*device, (acknowledged % 256) * block_size_bytes);
    // Or it was overwritten 256 writes later.
    EXPECT_TRUE(block == blocks_of(acknowledged) || written >= acknowledged + 255);
    wait_for_more(20);
  }
  ends = true;
  load.join();
}

// librbd's word "done" means that the OSD has it on its disk.
TEST_F(RbdFailureTest, WhatWasWrittenOutlivesTheOsd) {
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

TEST_F(RbdFailureTest, NoAnswerIsWaitedForWithoutEnd) {
  const std::string location = make_image();
  auto owner = open_locked(location, milliseconds(2000));
  ASSERT_OK(owner->write_durable(0, blocks_of(1)));
  cluster().freeze_osd();
  const Status late = owner->write_durable(block_size_bytes, blocks_of(2));
  EXPECT_KIND(late, io);
  EXPECT_NE(late.error().cause().find("no answer"), std::string::npos) << late.error().text();
  EXPECT_KIND(RbdDevice::open(location, Access::read_only, milliseconds(1000)), io);
  cluster().thaw_osd();
  expect_nothing_works(*owner, ErrorKind::io); // For good, although the cluster is back.
  EXPECT_EQ(owner->flush().error().cause(), late.error().cause());
  owner.reset();
  const auto next = open_locked(location);
  EXPECT_EQ(block_at(*next, 0), blocks_of(1));
  ASSERT_OK(next->write_durable(0, blocks_of(3)));
}

// Its owner has gone before the OSD comes to it: it may have been done then, but is not any more
// once the next owner is there.
TEST_F(RbdFailureTest, AWriteOfUnknownOutcomeDoesNotLandLater) {
  const std::string location = make_image();
  for (unsigned round = 1; round <= 2; ++round) {
    auto owner = open_locked(location, milliseconds(1500));
    ASSERT_OK(owner->write_durable(0, blocks_of(1)));
    cluster().freeze_osd();
    EXPECT_KIND(owner->write_durable(0, blocks_of(2)), io);
    owner.reset(); // While the OSD has the write in its queue.
    EXPECT_NE(cluster().run("ceph osd blocklist ls").find("127.0.0.1"), std::string::npos);
    cluster().thaw_osd();
    const auto next = open_locked(location);
    ASSERT_OK(next->write_durable(0, blocks_of(3)));
    for (int look = 0; look < 20; ++look) {
      EXPECT_EQ(block_at(*next, 0), blocks_of(3));
    }
    cluster().run("ceph osd blocklist clear");
  }
}

// Where librbd itself has no deadline; at which moment differs.
TEST_F(RbdFailureTest, ClosingAndLockingComeToAnEndWhenTheOsdStandsStill) {
  const std::string location = make_image();
  for (int round = 0; round < 6; ++round) {
    auto device = open_locked(location, milliseconds(1000));
    std::thread closing([&] { device.reset(); });
    std::this_thread::sleep_for(milliseconds(10 * round)); // Any moment will do.
    cluster().freeze_osd();
    closing.join();
    cluster().thaw_osd();
    // Whoever was left behind gives the lock up in the end, or is shut out by who comes next.
    const auto next = take_over_in_the_end(location);
    ASSERT_NE(next, nullptr);
    ASSERT_OK(next->write_durable(0, blocks_of(1)));
  }
  const auto locking = open(location, Access::read_write, milliseconds(1000));
  cluster().freeze_osd();
  EXPECT_KIND(locking->lock_for_writing(), io);
  cluster().thaw_osd();
}

// The lock is not given up by who may have a write under way and cannot be shut out.
TEST_F(RbdFailureTest, WhoCannotShutItselfOutKeepsTheLock) {
  const std::string location = make_image();
  auto owner = open_locked(location, milliseconds(1500));
  cluster().freeze_osd();
  EXPECT_KIND(owner->write_durable(0, blocks_of(2)), io);
  cluster().kill_monitor(); // Who would take the entry.
  owner.reset();
  cluster().restart_monitor();
  cluster().thaw_osd();
  const auto next = open(location);
  EXPECT_KIND(next->lock_for_writing(), in_use);
}

TEST_F(RbdFailureTest, ADeadOwnersLockIsWaitedFor) {
  const std::string location = make_image();
  cluster().run("sh -c 'exec >/dev/null 2>&1; timeout -s KILL 3 rbd bench --io-type write "
                "--io-total 100G ADeadOwnersLockIsWaitedFor || true'");
  // It has died with the lock.
  ASSERT_NE(cluster().run("rbd lock ls ADeadOwnersLockIsWaitedFor").find("127.0.0.1"),
            std::string::npos);
  const auto next = open(location);
  ASSERT_OK(next->lock_for_writing());
  ASSERT_OK(next->write_durable(0, blocks_of(1)));
}

} // namespace
} // namespace vnvram
