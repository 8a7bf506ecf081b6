// An image that is opened, held and given up while front ends use it. What they are promised is
// what tests/unit/client asks for.
#include "owner/image_keeper.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "support/counting_device.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using Purpose = StoreGate::Purpose;

class ImageKeeperTest : public StoreFixture {
protected:
  void SetUp() override { create({spec("a", 100)}); }
  /// A device that says that its content may change is one that someone reverts.
  Status attach(ImageKeeper& keeper, bool content_may_change = false) {
    auto device = std::make_unique<HookedDevice>(disk_, hook_);
    DeviceCapabilities can = device->capabilities();
    can.content_may_change = content_may_change;
    device->set_capabilities(can);
    return keeper.attach(std::make_unique<test::CountingDevice>(std::move(device), counter_),
                         {.location = "disk"});
  }
  static Status write(ImageKeeper& keeper, std::string_view text) {
    auto store = keeper.use(Purpose::change);
    return store ? (*store)->write("a", bytes(text)) : store.error();
  }
  static Bytes content(ImageKeeper& keeper) {
    auto store = keeper.use(Purpose::read);
    return store ? *(*store)->read("a") : Bytes();
  }

  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
  std::shared_ptr<test::DeviceCounter> counter_ = std::make_shared<test::DeviceCounter>();
};

TEST_F(ImageKeeperTest, HasOneImageAtATimeAndOneOwnerHasIt) {
  ImageKeeper keeper({});
  EXPECT_FALSE(keeper.is_attached());
  EXPECT_KIND(keeper.use(Purpose::read), absent);
  ASSERT_OK(attach(keeper));
  EXPECT_KIND(keeper.attach({.location = "/dev/null"}), exists);
  ImageKeeper other({});
  EXPECT_KIND(attach(other), in_use);
  EXPECT_FALSE(other.is_attached());
  ASSERT_OK(write(keeper, "one"));
  ASSERT_OK(keeper.detach());
  ASSERT_OK(keeper.detach());
  ASSERT_OK(attach(other));
  EXPECT_EQ(content(other), bytes("one"));
}

TEST_F(ImageKeeperTest, ASealedImageIsAttachedToWhoAcceptsIt) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper));
  ASSERT_OK(keeper.seal());
  EXPECT_TRUE(keeper.info().sealed);
  ASSERT_OK(keeper.detach());
  EXPECT_KIND(attach(keeper), sealed);
  EXPECT_FALSE(keeper.is_attached());
  ASSERT_OK(keeper.attach(std::make_unique<MemoryDevice>(disk_),
                          {.location = "disk", .accept_sealed = true}));
  EXPECT_KIND(write(keeper, "one"), sealed);
  ASSERT_OK(keeper.unseal());
  ASSERT_OK(write(keeper, "one"));
}

TEST_F(ImageKeeperTest, AnImageThatIsDetachedIsCleanAndOneThatIsAbandonedIsAsItWas) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper));
  ASSERT_OK(write(keeper, "one"));
  const Bytes before = copy_of_disk()->bytes();
  keeper.abandon();
  keeper.abandon();
  EXPECT_FALSE(keeper.is_attached());
  EXPECT_EQ(disk_->bytes(), before);
  ASSERT_OK(attach(keeper));
  ASSERT_OK(keeper.detach());
  EXPECT_TRUE(open_read_only()->info().clean);
}

TEST_F(ImageKeeperTest, ContentThatWasPutBackIsSeenAndOpenedUnderItsUsers) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper, true));
  ASSERT_OK(write(keeper, "one"));
  EXPECT_TRUE(*keeper.is_current());
  const Bytes snapshot = disk_->bytes();
  ASSERT_OK(write(keeper, "two"));
  disk_->bytes() = snapshot;
  EXPECT_FALSE(*keeper.is_current());
  ASSERT_OK(keeper.reopen());
  EXPECT_TRUE(*keeper.is_current());
  EXPECT_EQ(content(keeper), bytes("one"));
  ASSERT_OK(write(keeper, "three"));
}

TEST_F(ImageKeeperTest, WhatCannotBeOpenedAnewIsNotAttachedAnyMore) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper, true));
  std::fill(disk_->bytes().begin(), disk_->bytes().end(), std::byte{0});
  EXPECT_FALSE(*keeper.is_current());
  EXPECT_KIND(keeper.reopen(), blank);
  EXPECT_FALSE(keeper.is_attached());
  EXPECT_KIND(keeper.use(Purpose::read), absent);
}

TEST_F(ImageKeeperTest, AHoldWaitsForTheChangeUnderWayAndLeavesTheImageAtRest) {
  std::promise<void> is_writing;
  std::promise<void> may_write;
  std::atomic<bool> written = false;
  std::atomic<bool> first = true;
  ImageKeeper keeper({}); // Behind what the hook knows: it is closed before.
  ASSERT_OK(attach(keeper));
  *hook_ = [&](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    if (call == HookedDevice::Call::write_durable && first.exchange(false)) {
      is_writing.set_value();
      may_write.get_future().wait();
    }
    return Status();
  };
  std::thread writer([&] {
    EXPECT_TRUE(write(keeper, "one").ok());
    written = true;
  });
  is_writing.get_future().wait();
  std::thread holder([&] {
    EXPECT_TRUE(keeper.hold().ok());
    EXPECT_EQ(keeper.info().ring_used_bytes, 0U); // Nothing is left to be written.
  });
  EXPECT_FALSE(written);
  may_write.set_value();
  writer.join();
  holder.join();
  const test::DeviceCost before = counter_->cost();
  EXPECT_EQ(content(keeper), bytes("one"));
  EXPECT_EQ(counter_->cost().bytes, before.bytes);
  keeper.release();
  ASSERT_OK(write(keeper, "two"));
}

TEST_F(ImageKeeperTest, AHeldImageThatMayChangeUnderneathIsLeftAsItIs) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper, true));
  ASSERT_OK(write(keeper, "one"));
  const test::DeviceCost before = counter_->cost();
  ASSERT_OK(keeper.hold());
  EXPECT_EQ(counter_->cost(), before);
}

TEST_F(ImageKeeperTest, AHoldEndsWithTheImage) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper, true));
  ASSERT_OK(keeper.hold());
  ASSERT_OK(keeper.reopen());
  ASSERT_OK(write(keeper, "one"));
  ASSERT_OK(keeper.hold());
  ASSERT_OK(keeper.detach());
  ASSERT_OK(attach(keeper));
  ASSERT_OK(write(keeper, "two"));
}

// Nobody waits for ever, nothing is written while changes are held, and each error is that there is
// no image.
TEST_F(ImageKeeperTest, AnImageIsHeldLookedAtAndExchangedUnderManyUsers) {
  ImageKeeper keeper({});
  ASSERT_OK(attach(keeper));
  std::atomic<bool> ends = false;
  std::atomic<std::uint64_t> call_count = 0;
  const auto use = [&](std::uint64_t number) {
    while (!ends) {
      const Purpose purpose = number % 3 == 0 ? Purpose::read : Purpose::change;
      auto store = keeper.use(purpose);
      if (!store) {
        EXPECT_EQ(store.error().kind(), ErrorKind::absent);
        std::this_thread::yield();
        continue;
      }
      const Bytes content = bytes(std::to_string(++call_count));
      const Status done = number % 3 == 0   ? (*store)->flush()
                          : number % 3 == 1 ? (*store)->write_range("a", number, content)
                                            : (*store)->write_range_deferred("a", number, content);
      EXPECT_TRUE(done.ok()) << done.error().text();
    }
  };
  const auto watch = [&] {
    while (!ends) {
      keeper.end_watch(
          keeper.watch_failures([](const Error& error) { ADD_FAILURE() << error.text(); }));
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t number = 0; number < 6; ++number) {
    threads.emplace_back(use, number);
  }
  threads.emplace_back(watch);
  for (int round = 0; round < 60; ++round) {
    ASSERT_OK(keeper.hold());
    const test::DeviceCost held = counter_->cost();
    for (int turn = 0; turn < 50; ++turn) {
      std::this_thread::yield();
    }
    EXPECT_EQ(counter_->cost().bytes, held.bytes);
    EXPECT_TRUE(*keeper.is_current());
    if (round % 3 != 0) {
      keeper.release();
    }
    if (round % 4 == 1) {
      ASSERT_OK(keeper.reopen());
    } else if (round % 4 == 2) {
      if (round % 8 == 2) {
        keeper.abandon();
      } else {
        ASSERT_OK(keeper.detach());
      }
      ASSERT_OK(attach(keeper));
    }
    keeper.release();
    const std::uint64_t before = call_count;
    while (call_count < before + 20) {
      std::this_thread::yield();
    }
  }
  ends = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(ImageKeeperTest, WhatIsWrittenOfTheStoresOwnAccordMeanwhileIsOurs) {
  ImageKeeper keeper({.store = {.deferral = std::chrono::milliseconds(5)}});
  ASSERT_OK(attach(keeper));
  std::atomic<bool> looks = false;
  *hook_ = [&](HookedDevice::Call call, std::uint64_t offset_bytes, std::span<const std::byte>) {
    if (call == HookedDevice::Call::read && offset_bytes >= 4 * block_size_bytes &&
        looks.exchange(false)) {
      const std::uint64_t before = counter_->cost().durable_writes;
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
      while (counter_->cost().durable_writes == before &&
             std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
      }
    }
    return Status();
  };
  {
    auto store = keeper.use(Purpose::change);
    ASSERT_OK((*store)->write_range_deferred("a", 0, bytes("one")));
  }
  looks = true;
  EXPECT_TRUE(*keeper.is_current());
}

TEST_F(ImageKeeperTest, WhoHasNotForkedAdoptsNothing) {
  ImageKeeper keeper({.store = {.threads_late = true}});
  ASSERT_OK(attach(keeper));
  const test::DeviceCost before = counter_->cost();
  ASSERT_OK(keeper.adopt_after_fork());
  EXPECT_EQ(counter_->cost(), before);
}

TEST(ImageKeeper, KnowsWhatTakesFiles) {
  EXPECT_TRUE(ImageKeeper::needs_files("/var/lib/machine.vnvram"));
  EXPECT_FALSE(ImageKeeper::needs_files("nbd+unix:///x?socket=/run/x"));
}

// A checkpoint in the middle of every look, and damage in each of them: nobody could say whether it
// is there, but for one that changes wait for.
TEST_F(ImageKeeperTest, ACheckThatIsOvertakenAgainAndAgainLetsChangesWait) {
  create({spec("a", 100), spec("b", 100)});
  ImageKeeper keeper({.store = {.background = false}});
  ASSERT_OK(attach(keeper));
  ASSERT_OK(write(keeper, "needle"));
  ASSERT_OK(keeper.hold());
  keeper.release();
  unsigned superblock_reads = 0; // In one look.
  *hook_ = [&](HookedDevice::Call, std::uint64_t offset_bytes, std::span<const std::byte>) {
    superblock_reads += offset_bytes == 0 ? 1 : 0;
    return Status();
  };
  EXPECT_TRUE(keeper.check()->clean());
  *hook_ = {};
  const Bytes needle = bytes("needle");
  auto& disk = disk_->bytes();
  for (auto at = disk.begin();
       (at = std::search(at, disk.end(), needle.begin(), needle.end())) != disk.end(); ++at) {
    *at = std::byte{'N'};
  }
  constexpr unsigned looks_max = 20; // As many as a check takes before it gives up.
  unsigned left = looks_max * superblock_reads;
  bool changes = false;
  bool at_rest = false;
  unsigned number = 0;
  *hook_ = [&](HookedDevice::Call call, std::uint64_t offset_bytes, std::span<const std::byte>) {
    const bool reads = call == HookedDevice::Call::read;
    at_rest = at_rest || (!changes && !reads); // The checkpoint that comes before it.
    if (changes || !reads || offset_bytes != 0 || left == 0) {
      return Status();
    }
    --left;
    changes = true;
    auto store = keeper.use(Purpose::change);
    EXPECT_TRUE((*store)->write("b", bytes(std::to_string(++number))).ok());
    EXPECT_TRUE((*store)->checkpoint().ok());
    EXPECT_TRUE((*store)->write("b", bytes(std::to_string(++number))).ok());
    changes = false;
    return Status();
  };
  const auto report = keeper.check();
  *hook_ = {};
  ASSERT_OK(report);
  EXPECT_TRUE(at_rest);
  ASSERT_FALSE(report->problems.empty());
  EXPECT_EQ(report->problems.front().blobs, std::vector<std::string>{"a"});
  ASSERT_OK(write(keeper, "on"));
}

TEST(ImageKeeperWithoutImage, HasNothingToCheck) {
  ImageKeeper keeper({});
  EXPECT_KIND(keeper.check(), absent);
}

} // namespace
} // namespace vnvram
