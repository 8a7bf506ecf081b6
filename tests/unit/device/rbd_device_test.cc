// RbdDevice on a cluster that does what it is asked to.
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <thread>

#include "device/rbd_lock_look.h"
#include "support/long_test.h"
#include "unit/device/rbd_fixture.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

class RbdDeviceTest : public RbdTest {};

TEST_F(RbdDeviceTest, ReadsReturnWhatAnyKindOfWriteWrote) {
  const auto device = open_locked(make_image());
  EXPECT_EQ(*device->size_bytes(), rbd_size_bytes);
  Bytes read(block_size_bytes);
  const std::uint64_t last = rbd_size_bytes - block_size_bytes;
  for (unsigned round = 1; round <= 3; ++round) {
    ASSERT_OK(device->write(last, blocks_of(round)));
    EXPECT_EQ(block_at(*device, last), blocks_of(round));
    ASSERT_OK(device->write_durable(0, blocks_of(10 + round)));
    ASSERT_OK(device->write_durable_and_read(block_size_bytes, blocks_of(20 + round), 0, read));
    EXPECT_EQ(read, blocks_of(10 + round));
    ASSERT_OK(device->flush());
    EXPECT_EQ(block_at(*device, block_size_bytes), blocks_of(20 + round));
  }
  // Over two of the image's objects.
  Bytes long_read(64 * block_size_bytes);
  const std::uint64_t across = (std::uint64_t{4} << 20U) - (32 * block_size_bytes);
  ASSERT_OK(device->write_durable(across, blocks_of(7, 64)));
  ASSERT_OK(device->read(across, long_read));
  EXPECT_EQ(long_read, blocks_of(7, 64));
}

TEST_F(RbdDeviceTest, NothingIsReachedBeyondTheEnd) {
  const auto device = open_locked(make_image());
  Bytes block(block_size_bytes);
  for (const std::uint64_t offset : {rbd_size_bytes, ~std::uint64_t{0} - block_size_bytes + 1}) {
    EXPECT_KIND(device->read(offset, block), io);
    EXPECT_KIND(device->write(offset, block), io);
    EXPECT_KIND(device->write_durable(offset, block), io);
    EXPECT_KIND(device->write_durable_and_read(0, block, offset, block), io);
  }
  ASSERT_OK(device->write_durable(0, block)); // The device has not suffered.
}

TEST_F(RbdDeviceTest, SaysWhatItCan) {
  const std::string location = make_image();
  const DeviceCapabilities can = open(location)->capabilities();
  EXPECT_TRUE(can.write && can.resize && can.remote && can.lock && can.fences);
  EXPECT_FALSE(can.content_may_change);
  const auto reader = open(location, Access::read_only);
  EXPECT_FALSE(reader->capabilities().write);
  EXPECT_KIND(reader->lock_for_writing(), read_only);
  EXPECT_KIND(reader->write(0, blocks_of(1)), read_only);
  EXPECT_KIND(reader->write_durable(0, blocks_of(1)), read_only);
  EXPECT_KIND(reader->resize(2 * rbd_size_bytes), read_only);
}

TEST_F(RbdDeviceTest, WithoutTheFeatureThereIsNoLock) {
  const std::string location = make_image("layering");
  const auto first = open_locked(location);
  const auto second = open_locked(location);
  const DeviceCapabilities can = first->capabilities();
  EXPECT_TRUE(can.write && can.content_may_change);
  EXPECT_FALSE(can.lock || can.fences);
  ASSERT_OK(first->write_durable(0, blocks_of(1)));
  ASSERT_OK(second->write_durable(block_size_bytes, blocks_of(2)));
  EXPECT_EQ(block_at(*first, block_size_bytes), blocks_of(2));
  // The look at the other owner is younger than the write, wherever the two are.
  Bytes look(block_size_bytes);
  for (unsigned round = 3; round < 23; ++round) {
    ASSERT_OK(first->write_durable_and_read(0, blocks_of(round), 0, look));
    ASSERT_EQ(look, blocks_of(round));
  }
}

TEST_F(RbdDeviceTest, NothingIsWrittenWithoutTheLock) {
  const std::string location = make_image();
  const auto device = open(location);
  EXPECT_KIND(device->write_durable(0, blocks_of(1)), read_only);
  EXPECT_KIND(device->write(0, blocks_of(1)), read_only);
  EXPECT_KIND(device->resize(2 * rbd_size_bytes), read_only);
  ASSERT_OK(device->flush()); // For which librbd would take the lock.
  EXPECT_OK(look_at_rbd_lock(location, patience));
  ASSERT_OK(device->lock_for_writing());
  ASSERT_OK(device->lock_for_writing());
  EXPECT_KIND(look_at_rbd_lock(location, patience), in_use);
  ASSERT_OK(open(location)->flush()); // Beside its owner.
  ASSERT_OK(device->write_durable(0, blocks_of(1)));
  device->unlock();
  EXPECT_KIND(device->write_durable(0, blocks_of(2)), read_only);
  EXPECT_EQ(block_at(*device, 0), blocks_of(1));
}

TEST_F(RbdDeviceTest, OneOwnerAtATime) {
  const std::string location = make_image();
  auto owner = open_locked(location);
  const auto other = open(location);
  const Status refused = other->lock_for_writing();
  EXPECT_KIND(refused, in_use);
  EXPECT_NE(refused.error().cause().find("127.0.0.1"), std::string::npos) << refused.error().text();
  ASSERT_OK(owner->write_durable(0, blocks_of(3)));
  EXPECT_EQ(block_at(*other, 0), blocks_of(3)); // To read beside it is possible.
  EXPECT_EQ(block_at(*open(location, Access::read_only), 0), blocks_of(3));
  owner.reset();
  ASSERT_OK(other->lock_for_writing());
  ASSERT_OK(other->write_durable(0, blocks_of(4)));
}

// With `rbd lock add`: nobody watches it, so that librbd would wait for its end without end.
TEST_F(RbdDeviceTest, ALockThatWasTakenByHandIsNotWaitedFor) {
  const std::string location = make_image();
  const std::string spec = "rbd/ALockThatWasTakenByHandIsNotWaitedFor";
  cluster().run("rbd lock add " + spec + " mine");
  EXPECT_KIND(look_at_rbd_lock(location, patience), in_use);
  const auto device = open(location);
  const Status refused = device->lock_for_writing();
  EXPECT_KIND(refused, in_use);
  EXPECT_NE(refused.error().remedy().find("rbd lock rm " + spec), std::string::npos)
      << refused.error().text();
  const std::string lockers = cluster().run("rbd lock ls " + spec);
  const std::string client = lockers.substr(lockers.find("client."));
  cluster().run("rbd lock rm " + spec + " mine " + client.substr(0, client.find(' ')));
  ASSERT_OK(device->lock_for_writing());
  ASSERT_OK(device->write_durable(0, blocks_of(1)));
}

// 500 rounds where there is time, a few always.
TEST_F(RbdDeviceTest, ARaceForTheLockHasOneWinner) {
  const std::string location = make_image();
  const int rounds = test::are_long_tests_wanted() ? 500 : 15;
  const auto first = open(location);
  const auto second = open(location);
  std::barrier together(2);
  std::array<Status, 2> taken;
  const auto run = [&](RbdDevice& device, std::size_t index) {
    for (int round = 0; round < rounds; ++round) {
      together.arrive_and_wait();
      taken[index] = device.lock_for_writing();
      if (taken[index]) {
        EXPECT_OK(device.write_durable(0, blocks_of(static_cast<unsigned>(index))));
      }
      together.arrive_and_wait();
      if (index == 0) {
        EXPECT_NE(taken[0].ok(), taken[1].ok()) << "round " << round;
        for (const Status& one : taken) {
          EXPECT_TRUE(one || one.error().kind() == ErrorKind::in_use) << one.error().text();
        }
      }
      together.arrive_and_wait();
      device.unlock();
    }
  };
  std::thread beside(run, std::ref(*second), 1);
  run(*first, 0);
  beside.join();
}

TEST_F(RbdDeviceTest, ThreadsWorkAtTheSameTime) {
  const auto device = open_locked(make_image());
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 8; ++number) {
    threads.emplace_back([&, number] {
      const std::uint64_t place = number * 16 * block_size_bytes;
      for (unsigned round = 0; round < 20; ++round) {
        EXPECT_OK(device->write_durable(place, blocks_of((number * 20) + round)));
        EXPECT_EQ(block_at(*device, place), blocks_of((number * 20) + round));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(RbdDeviceTest, GrowsAndDoesNotShrink) {
  const std::string location = make_image();
  const auto device = open_locked(location);
  ASSERT_OK(device->write_durable(0, blocks_of(5)));
  ASSERT_OK(device->resize(2 * rbd_size_bytes));
  EXPECT_EQ(*device->size_bytes(), 2 * rbd_size_bytes);
  EXPECT_EQ(block_at(*device, rbd_size_bytes), blocks_of(0));
  EXPECT_EQ(block_at(*device, 0), blocks_of(5));
  EXPECT_KIND(device->resize(rbd_size_bytes), unsupported);
  ASSERT_OK(device->resize(2 * rbd_size_bytes));
  EXPECT_EQ(*open(location, Access::read_only)->size_bytes(), 2 * rbd_size_bytes);
}

// The cluster's image with it, under our lock.
TEST_F(RbdDeviceTest, AStoreGrowsByItself) {
  const std::string location = make_image();
  ASSERT_OK(create_image(*open(location), {}));
  OpenOptions options;
  options.grow_max_bytes = 4 * rbd_size_bytes;
  auto store = Store::open(open(location), std::move(options));
  ASSERT_OK(store);
  for (const char* name : {"a", "b", "c", "d"}) {
    const BlobSpec large = {.name = name, .type = "test", .size_max_bytes = 900000};
    ASSERT_OK((*store)->register_blobs(std::span(&large, 1)));
    ASSERT_OK((*store)->write(name, Bytes(900000, std::byte{7})));
  }
  const std::uint64_t size_bytes = (*store)->info().image_size_bytes;
  EXPECT_GT(size_bytes, rbd_size_bytes);
  ASSERT_OK((*store)->close());
  const auto device = open(location, Access::read_only);
  EXPECT_EQ(*device->size_bytes(), size_bytes);
  const auto report = check_image(*device);
  ASSERT_OK(report);
  EXPECT_TRUE(report->clean() && report->notes.empty());
}

TEST_F(RbdDeviceTest, ASnapshotIsOnlyRead) {
  const std::string name = "ASnapshotIsOnlyRead";
  const auto device = open_locked(make_image());
  ASSERT_OK(device->write_durable(0, blocks_of(1)));
  cluster().run("rbd snap create " + name + "@then"); // Beside its owner.
  ASSERT_OK(device->write_durable(0, blocks_of(2)));
  const std::string snapshot = cluster().location(name + "@then");
  const auto then = open(snapshot, Access::read_only);
  EXPECT_EQ(block_at(*then, 0), blocks_of(1));
  EXPECT_EQ(block_at(*device, 0), blocks_of(2));
  EXPECT_KIND(then->write_durable(0, blocks_of(3)), read_only);
  EXPECT_KIND(RbdDevice::open(snapshot, Access::read_write, patience), read_only);
  EXPECT_KIND(RbdNewImage::make(snapshot, rbd_size_bytes, patience), read_only);
}

TEST_F(RbdDeviceTest, ANamespaceIsAPlaceOfItsOwn) {
  cluster().run("rbd namespace create rbd/room");
  const std::string location = cluster().location("room/image");
  EXPECT_KIND(RbdDevice::open(location, Access::read_only, patience), absent);
  {
    auto made = RbdNewImage::make(location, rbd_size_bytes, patience);
    ASSERT_OK(made);
    ASSERT_OK(made->take_name());
  }
  ASSERT_OK(open_locked(location)->write_durable(0, blocks_of(1)));
  EXPECT_KIND(RbdDevice::open(cluster().location("image"), Access::read_only, patience), absent);
  EXPECT_NE(cluster().run("rbd ls rbd/room").find("image"), std::string::npos);
}

TEST_F(RbdDeviceTest, AnImageThatIsNotToStayIsGone) {
  const std::string location = cluster().location("passing");
  {
    const auto made = RbdNewImage::make(location, rbd_size_bytes, patience);
    ASSERT_OK(made);
    EXPECT_TRUE((*made->open())->capabilities().lock);
    EXPECT_NE(cluster().run("rbd ls").find("passing.new-"), std::string::npos);
    EXPECT_KIND(RbdDevice::open(location, Access::read_only, patience), absent);
  }
  EXPECT_EQ(cluster().run("rbd ls").find("passing"), std::string::npos);
}

// Both have found that there is none: whoever is second leaves alone what the first has made.
TEST_F(RbdDeviceTest, OfTwoThatMakeAnImageOneSucceeds) {
  const std::string location = cluster().location("wanted");
  {
    auto second = RbdNewImage::make(location, rbd_size_bytes, patience);
    ASSERT_OK(second);
    ASSERT_OK(create_image_file(location, rbd_size_bytes, {}));
    ASSERT_OK(create_image(**second->open(), {}));
    EXPECT_KIND(second->take_name(), exists);
  }
  EXPECT_KIND(create_image_file(location, rbd_size_bytes, {}),
              exists); // It is there, and not blank.
  EXPECT_EQ(cluster().run("rbd ls").find("wanted.new-"), std::string::npos);
}

// What is set for an image or a pool counts more than what a client says.
TEST_F(RbdDeviceTest, ACacheThatTheClusterHasSetIsRefused) {
  const std::string location = make_image();
  const std::string name = "ACacheThatTheClusterHasSetIsRefused";
  cluster().run("rbd config image set " + name + " rbd_cache true");
  const auto refused = RbdDevice::open(location, Access::read_write, patience);
  EXPECT_KIND(refused, unsupported);
  EXPECT_NE(refused.error().remedy().find("rbd config image rm rbd/" + name), std::string::npos)
      << refused.error().text();
  open(location, Access::read_only);
  cluster().run("rbd config image rm " + name + " rbd_cache");
  cluster().run("rbd config pool set rbd rbd_cache true");
  const auto pool_refused = RbdDevice::open(location, Access::read_write, patience);
  cluster().run("rbd config pool rm rbd rbd_cache");
  EXPECT_KIND(pool_refused, unsupported);
  EXPECT_NE(pool_refused.error().remedy().find("rbd config pool rm rbd"), std::string::npos)
      << pool_refused.error().text();
  open_locked(location);
}

// With these a client that lost its lock would go on writing, beside the next owner; or a look
// would see what was there before.
TEST_F(RbdDeviceTest, ClusterSettingsThatUndoSafetyAreRefused) {
  const std::string location = make_image();
  const std::string name = test_name();
  for (const auto& [option, value] : {std::pair("rbd_blocklist_on_break_lock", "false"),
                                      std::pair("rbd_blocklist_expire_seconds", "5"),
                                      std::pair("rbd_persistent_cache_mode", "ssd"),
                                      std::pair("rbd_read_from_replica_policy", "balance")}) {
    SCOPED_TRACE(option);
    const bool is_long = test::are_long_tests_wanted();
    for (const std::string place : {"pool", "image"}) {
      if (place == "pool" && !is_long) {
        continue;
      }
      const std::string where = place + (place == "image" ? " set " + name : " set rbd");
      cluster().run("rbd config " + where + " " + option + " " + value);
      const auto refused = RbdDevice::open(location, Access::read_write, patience);
      const std::string remedy = "rbd config " + place + " rm " +
                                 (place == "image" ? "rbd/" + name : "rbd") + " " + option;
      cluster().run(remedy);
      EXPECT_KIND(refused, unsupported);
      EXPECT_NE(refused.error().remedy().find(remedy), std::string::npos) << refused.error().text();
    }
  }
  open_locked(location);
}

TEST_F(RbdDeviceTest, WhatIsNotThereIsAbsent) {
  const std::string location = make_image();
  const std::string conf = ":conf=" + cluster().conf();
  for (const std::string& absent :
       {"rbd:nothing/image" + conf, "rbd:rbd/nothing" + conf, "rbd:rbd/nothing/image" + conf,
        "rbd:rbd/WhatIsNotThereIsAbsent@nothing" + conf,
        std::string("rbd:rbd/WhatIsNotThereIsAbsent:conf=/nowhere/ceph.conf")}) {
    SCOPED_TRACE(absent);
    const auto device = RbdDevice::open(absent, Access::read_only, patience);
    EXPECT_KIND(device, absent);
    EXPECT_NE(device.error().cause().find(absent), std::string::npos) << device.error().text();
  }
  EXPECT_KIND(RbdDevice::open(location + ":no_such_option=1", Access::read_only, patience),
              invalid_argument);
  EXPECT_KIND(RbdDevice::open(location + ":mon_max_osd=many", Access::read_only, patience),
              invalid_argument);
}

// librbd's threads stay behind: what it is asked for in a child would never end.
TEST_F(RbdDeviceTest, AForkedChildIsRefusedAndEnds) {
  auto device = open_locked(make_image());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(60);
    Bytes block(block_size_bytes);
    const bool refused = !device->write_durable(0, block) && !device->read(0, block) &&
                         !device->flush() && !device->size_bytes();
    device.reset();
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ASSERT_OK(device->write_durable(0, blocks_of(1))); // And the parent goes on.
}

} // namespace
} // namespace vnvram
