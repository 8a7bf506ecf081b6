// Owners that no lock keeps apart, and owners that cannot see whether they still are.
#include <cstring>

#include "format/layout.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Ownership : public StoreFixture {
protected:
  std::unique_ptr<Store> open_hooked(OpenOptions options = inline_options()) {
    auto store =
        Store::open(std::make_unique<HookedDevice>(disk_, hook_, false), std::move(options));
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }
  static Status fail_reading_superblocks(HookedDevice::Call call, std::uint64_t offset_bytes,
                                         std::span<const std::byte>) {
    return call == HookedDevice::Call::read && offset_bytes < 2 * block_size_bytes
               ? Status(Error(ErrorKind::io, "hooked: read failed"))
               : Status{};
  }

  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

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

// Two that open at once each write both superblocks; what is left may be one of each.
TEST_F(Ownership, WhatTwoRacingOpenersLeaveBehindCanBeOpened) {
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("kept")));
  const auto open_copy = [&](Bytes& bytes_of_open) {
    const auto disk = std::make_shared<MemoryDisk>(disk_->bytes());
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
