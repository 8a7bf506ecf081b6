// Owners that no lock keeps apart, and owners that cannot see whether they still are.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "format/codec.h"
#include "format/layout.h"
#include "store/owner_watch.h"
#include "support/skipping_clock.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Ownership : public StoreFixture {
protected:
  /// A local file; a block device.
  static constexpr DeviceCapabilities here{.write = true};
  static constexpr DeviceCapabilities beside{.write = true, .read_beside_write = true};

  std::unique_ptr<Store> open_hooked(OpenOptions options = inline_options(),
                                     const DeviceCapabilities& can = here) {
    auto device = std::make_unique<HookedDevice>(disk_, hook_, false);
    device->set_capabilities(can);
    options.clock = &clock_;
    auto store = Store::open(std::move(device), std::move(options));
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }
  /// Nobody replaces content, nor opens an image and writes half its ring, in a shorter time.
  void last_look_is_old() {
    clock_.advance(std::chrono::milliseconds(2) + std::chrono::nanoseconds(1));
  }
  static Status fail_reading_superblocks(HookedDevice::Call call, std::uint64_t offset_bytes,
                                         std::span<const std::byte>) {
    return call == HookedDevice::Call::read && offset_bytes < 2 * block_size_bytes
               ? Status(Error(ErrorKind::io, "hooked: read failed"))
               : Status{};
  }

  test::SkippingClock clock_;
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

// Behind a lock as well: one that can be taken away, or that ends with a lease.
TEST_F(Ownership, WhoWasOvertakenIsNotToldThatNothingHadToBeWritten) {
  for (const DeviceCapabilities& can :
       {here, beside, DeviceCapabilities{.write = true, .lock = true, .fences = true}}) {
    create({spec("a", 100)});
    const auto first = open_hooked(inline_options(), can);
    ASSERT_OK(first->write("a", bytes("one")));
    ASSERT_OK(first->write("a", bytes("one")));
    ASSERT_OK(first->write_range_deferred("a", 0, bytes("one")));
    ASSERT_OK(first->flush());
    const auto second = open_hooked(inline_options(), can);
    ASSERT_OK(second->write("a", bytes("two")));
    ASSERT_OK(first->write_range_deferred("a", 0, bytes("one")));
    EXPECT_KIND(first->flush(), in_use);
    EXPECT_FALSE(first->write("a", bytes("one")).ok());
    EXPECT_FALSE(first->register_blobs(std::vector{spec("a", 100)}).ok());
  }
}

TEST_F(Ownership, ACheckpointThatCannotSeeTheOwnerPoisons) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write("a", bytes("kept")));
  *hook_ = fail_reading_superblocks;
  EXPECT_KIND(store->checkpoint(), io);
  *hook_ = nullptr;
  EXPECT_KIND(store->write("a", bytes("lost")), poisoned);
  EXPECT_KIND(store->checkpoint(), poisoned);
  EXPECT_EQ(*store->read("a"), bytes("kept"));
  store.reset();
  EXPECT_EQ(*open()->read("a"), bytes("kept"));
}

TEST_F(Ownership, ACommitThatCannotSeeTheOwnerWritesNothing) {
  create({spec("a", 100)});
  auto store = open_hooked();
  *hook_ = fail_reading_superblocks;
  EXPECT_KIND(store->write("a", bytes("lost")), io);
  *hook_ = nullptr;
  ASSERT_OK(store->write("a", bytes("there")));
  EXPECT_EQ(*store->read("a"), bytes("there"));
}

TEST_F(Ownership, AnOvertakenOwnerWritesNothingAtACheckpoint) {
  create({spec("a", 20000)});
  auto first = open_hooked();
  ASSERT_OK(first->write("a", pattern(20000, 1)));
  auto second = open_hooked();
  for (unsigned i = 2; i < 5; ++i) {
    ASSERT_OK(second->write("a", pattern(20000, i)));
    ASSERT_OK(second->checkpoint());
  }
  const Bytes before = disk_->bytes();
  EXPECT_KIND(first->checkpoint(), in_use);
  first.reset();
  EXPECT_EQ(disk_->bytes(), before);
  second.reset();
  EXPECT_EQ(*open()->read("a"), pattern(20000, 4));
}

TEST_F(Ownership, AnOvertakenOwnerChangesNoMetadata) {
  create({spec("a", 100)});
  auto first = open_hooked();
  ASSERT_OK(first->set_metadata("name", "first"));
  auto second = open_hooked();
  ASSERT_OK(second->set_metadata("name", "second"));
  const Bytes before = disk_->bytes();
  EXPECT_KIND(first->set_metadata("name", "first"), in_use);
  EXPECT_KIND(first->set_metadata("name", std::nullopt), poisoned);
  EXPECT_EQ(disk_->bytes(), before);
  EXPECT_KIND(second->set_metadata("other", std::nullopt), not_found);
  ASSERT_OK(second->set_metadata("name", std::nullopt));
}

// A backup that is copied over an open image, another store's image, mkfs, zeros: nothing is
// written to what is there now.
TEST_F(Ownership, ContentThatWasPutInTheImagesPlaceIsLeftAsItIs) {
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("of the backup")));
  const Bytes backup = disk_->bytes();
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("of another image")));
  ASSERT_OK(open()->write("a", bytes("in a later epoch")));
  const Bytes another = disk_->bytes();
  Bytes overwritten = backup;
  std::fill_n(overwritten.begin(), 2 * block_size_bytes, std::byte{0x5a});
  const Bytes zeros(backup.size());
  for (const DeviceCapabilities& can : {here, beside}) {
    for (const Bytes* content : {&backup, &another, &std::as_const(overwritten), &zeros}) {
      for (const bool commits : {true, false}) {
        disk_ = std::make_shared<MemoryDisk>(backup);
        auto store = open_hooked(inline_options(), can);
        ASSERT_OK(store->write("a", bytes("acknowledged")));
        disk_->bytes() = *content;
        last_look_is_old();
        if (commits) {
          const Status refused = store->write("a", bytes("refused"));
          EXPECT_KIND(refused, stale);
          EXPECT_NE(refused.error().text().find("the content was replaced"), std::string::npos)
              << refused.error().text();
          EXPECT_KIND(store->write("a", bytes("refused")), poisoned);
          EXPECT_TRUE(store->info().poisoned.has_value());
        }
        EXPECT_FALSE(store->close().ok());
        store.reset();
        EXPECT_EQ(disk_->bytes(), *content);
      }
    }
  }
}

// Before an image is complete there is none to look at.
TEST_F(Ownership, AnImageIsMadeInPlaceOnAnyDevice) {
  for (const DeviceCapabilities& can : {here, beside}) {
    disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
    HookedDevice device(disk_, hook_, false);
    device.set_capabilities(can);
    const std::vector<NewBlob> blobs = {{.spec = spec("a", 100), .content = bytes("new")}};
    ASSERT_OK(create_image(device, {.blobs = blobs}));
    EXPECT_EQ(*open_hooked(inline_options(), can)->read("a"), bytes("new"));
  }
}

TEST_F(Ownership, AnEarlierStateOfTheSameEpochIsReplacedContentToo) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write("a", bytes("one")));
  const Bytes earlier = disk_->bytes();
  ASSERT_OK(store->checkpoint());
  disk_->bytes() = earlier;
  EXPECT_KIND(store->write("a", bytes("two")), stale);
  EXPECT_FALSE(store->close().ok());
  EXPECT_EQ(disk_->bytes(), earlier);
}

// Damage to one copy says nothing about whose image it is, and a checkpoint mends it.
TEST_F(Ownership, OneCopyThatIsLostIsNobodysClaim) {
  create({spec("a", 100)});
  for (const unsigned copy : {0U, 1U}) {
    for (const int value : {0, 0x5a}) {
      auto store = open_hooked();
      ASSERT_OK(store->write("a", bytes("one")));
      std::fill_n(disk_->bytes().begin() + copy * block_size_bytes, block_size_bytes,
                  static_cast<std::byte>(value));
      ASSERT_OK(store->write("a", bytes("two")));
      ASSERT_OK(store->checkpoint());
      ASSERT_OK(store->write("a", bytes("three")));
      ASSERT_OK(store->close());
      EXPECT_EQ(*open()->read("a"), bytes("three"));
    }
  }
}

// The commit of an owner that was idle does not fall on what another one has had acknowledged half
// a ring further, where no look at the same time could help any more.
TEST_F(Ownership, AnIdleOwnerLooksBeforeItWrites) {
  create({spec("a", 4000)});
  auto first = open_hooked(inline_options(), beside);
  ASSERT_OK(first->write("a", pattern(4000, 0)));
  auto second = open_hooked(inline_options(), beside);
  const std::uint64_t half_a_ring = second->info().ring_size_bytes / block_size_bytes / 2;
  unsigned i = 1;
  for (; i <= half_a_ring + 1; ++i) {
    ASSERT_OK(second->write("a", pattern(4000, i)));
  }
  last_look_is_old();
  const Bytes before = disk_->bytes();
  EXPECT_KIND(first->write("a", pattern(4000, i)), in_use);
  EXPECT_EQ(disk_->bytes(), before);
}

TEST_F(Ownership, ALookIsRecentForSoLong) {
  const auto hook = std::make_shared<HookedDevice::Hook>();
  const auto disk = std::make_shared<MemoryDisk>(std::uint64_t{1} << 20U);
  format::Superblock own{};
  own.sequence = 1;
  format::Codec(own).finish(own, 0);
  std::memcpy(disk->bytes().data(), &own, sizeof(own));
  for (const auto& [remote, recent] : {std::pair{false, std::chrono::milliseconds(2)},
                                       std::pair{true, std::chrono::milliseconds(1000)}}) {
    HookedDevice device(disk, hook, false);
    DeviceCapabilities can = beside;
    can.remote = remote;
    device.set_capabilities(can);
    OwnerWatch watch(device, clock_);
    EXPECT_TRUE(watch.looks_first());
    ASSERT_OK(watch.look(own, ""));
    EXPECT_FALSE(watch.looks_first());
    clock_.advance(recent);
    EXPECT_FALSE(watch.looks_first());
    clock_.advance(std::chrono::nanoseconds(1));
    EXPECT_TRUE(watch.looks_first());
    bool looked = false;
    ASSERT_OK(watch.look_and_write(own, "", 8 * block_size_bytes, Bytes(block_size_bytes), looked));
    EXPECT_TRUE(looked);
    EXPECT_FALSE(watch.looks_first());
    own.sequence += 2; // What is on the device is not the newest any more.
    EXPECT_KIND(watch.look(own, ""), stale);
    own.sequence -= 2;
  }
}

// Two that open at once each write both superblocks; what is left may be one of each.
TEST_F(Ownership, WhatTwoRacingOpenersLeaveBehindCanBeOpened) {
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("kept")));
  const auto open_copy = [&](Bytes& bytes_of_open) {
    const auto disk = std::make_shared<MemoryDisk>(disk_->copy());
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk), inline_options());
    ASSERT_OK(store);
    bytes_of_open = disk->bytes();
  };
  Bytes one;
  Bytes other;
  open_copy(one);
  open_copy(other);
  const auto sequence = [&](unsigned copy) {
    std::uint64_t value = 0;
    std::memcpy(&value,
                other.data() + (copy * block_size_bytes) + offsetof(format::Superblock, sequence),
                sizeof(value));
    return value;
  };
  const unsigned older = sequence(0) < sequence(1) ? 0 : 1;
  std::copy_n(one.begin() + (older * block_size_bytes), block_size_bytes,
              other.begin() + (older * block_size_bytes));
  disk_ = std::make_shared<MemoryDisk>(other);
  auto store = open();
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(*store->read("a"), bytes("kept"));
  ASSERT_OK(store->write("a", bytes("goes on")));
}

} // namespace
} // namespace vnvram
