// The same image on another device: beside who writes, cut at each write, and of what is damaged.
#include "backup/block_copy.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/block_copier.h"
#include "support/simulated_device.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t size_bytes = std::uint64_t{1} << 20U;

/// Asks before it passes on, and after so many writes fails all that come.
class MeddledDevice final : public ForwardingDevice {
public:
  using ForwardingDevice::ForwardingDevice;

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    if (before_read) {
      before_read(offset_bytes);
    }
    return read_fails && read_fails() ? Status(Error(ErrorKind::io, "gone"))
                                      : ForwardingDevice::read(offset_bytes, buffer);
  }
  Status flush() override {
    if (before_flush) {
      before_flush();
    }
    return ForwardingDevice::flush();
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status may = count_write();
    return may ? ForwardingDevice::write(offset_bytes, data) : may;
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status may = count_write();
    return may ? ForwardingDevice::write_durable(offset_bytes, data) : may;
  }

  std::function<void(std::uint64_t offset_bytes)> before_read;
  std::function<bool()> read_fails;
  std::function<void()> before_flush;
  unsigned writes_max = ~0U;
  unsigned writes = 0;

private:
  Status count_write() {
    return writes++ < writes_max ? Status() : Error(ErrorKind::io, "cut off");
  }
};

class BlockCopyTest : public StoreFixture {
protected:
  void SetUp() override { create({spec("a", 64 << 10U)}, size_bytes, 256 << 10U); }

  void write(Store& store, unsigned seed) { EXPECT_OK(store.write("a", pattern(30000, seed))); }
  /// As it is for who opens it.
  static Bytes content_of(const std::shared_ptr<MemoryDisk>& disk, const KeyRing& keys = {}) {
    auto store = Store::open(std::make_unique<MemoryDevice>(disk, Access::read_only),
                             {.access = Access::read_only, .background = false, .keys = keys});
    EXPECT_OK(store);
    return store ? (*store)->read("a").value() : Bytes();
  }
  Result<BlockCopyReport> copy(BlockCopySource source, BlockDevice& target) {
    return BlockCopier(source, target_, target).run();
  }

  /// One bit of the superblock that the copy is opened by.
  void damage_current_superblock() {
    MemoryDevice device(out_);
    const auto look = look_at_superblocks(device);
    ASSERT_OK(look);
    out_->bytes()[look->current.copy * block_size_bytes + 100] ^= std::byte{1};
  }
  /// Where records begin in the source's ring, in its order there.
  std::vector<std::size_t> record_places() {
    std::vector<std::size_t> places;
    const auto& bytes = disk_->bytes();
    for (std::size_t at = format::ring_start_block * block_size_bytes; at < bytes.size();
         at += block_size_bytes) {
      if (std::memcmp(bytes.data() + at, "NVRc", 4) == 0) {
        places.push_back(at);
      }
    }
    return places;
  }
  /// Another image, which is there before the copy comes.
  static void put_other_image(const std::shared_ptr<MemoryDisk>& disk) {
    MemoryDevice device(disk);
    CreateOptions other;
    other.ring_size_bytes = 256 << 10U;
    other.blobs.push_back({.spec = spec("other", 1000)});
    ASSERT_OK(create_image(device, other));
  }

  BlockCopyTarget target_;
  std::shared_ptr<MemoryDisk> out_ = std::make_shared<MemoryDisk>(size_bytes);
};

TEST_F(BlockCopyTest, ItOutlivesTheLossOfEitherSuperblock) {
  auto store = open();
  write(*store, 1);
  write(*store, 2);
  EXPECT_OK(store->checkpoint());
  for (const unsigned behind : {0U, 1U}) { // Commits behind the checkpoint.
    if (behind != 0) {
      write(*store, 2 + behind);
    }
    MemoryDevice source = device();
    MemoryDevice target(out_);
    ASSERT_OK(copy({.device = source}, target));
    damage_current_superblock();
    EXPECT_EQ(content_of(out_), pattern(30000, 2 + behind));
  }
}

TEST_F(BlockCopyTest, AnOwnerThatWasKilledAtItsOpeningLeavesALogToItsOldSuperblock) {
  {
    auto store = open();
    write(*store, 1);
    write(*store, 2);
    forget_owner();
  }
  const std::shared_ptr<MemoryDisk> before = copy_of_disk();
  auto store = open(); // Replays, and begins an epoch by a superblock.
  MemoryDevice now = device();
  const auto look = look_at_superblocks(now);
  ASSERT_OK(look);
  // As a kill between its two superblocks leaves it.
  const unsigned other = 1 - look->current.copy;
  std::copy_n(before->bytes().begin() + other * block_size_bytes, block_size_bytes,
              disk_->bytes().begin() + other * block_size_bytes);
  const auto old = SuperblockLook(*look_at_superblocks(now)).fallback();
  ASSERT_TRUE(old);
  MemoryDevice target(out_);
  ASSERT_OK(copy({.device = now}, target));
  damage_current_superblock();
  EXPECT_EQ(content_of(out_), pattern(30000, 2));
}

// A log that is not whole between the two is not needed as long as the current superblock is there,
// and without it what it led to is not passed off as the newest state, in the copy as at its
// source.
TEST_F(BlockCopyTest, AnOlderStateIsNeverPassedOffAsTheNewest) {
  auto store = open();
  EXPECT_OK(store->checkpoint());
  write(*store, 1);
  const std::size_t first = record_places().back();
  write(*store, 2);
  EXPECT_OK(store->checkpoint());
  disk_->bytes()[first + 200] ^= std::byte{1};
  MemoryDevice source = device();
  MemoryDevice target(out_);
  ASSERT_OK(copy({.device = source}, target));
  EXPECT_EQ(content_of(out_), pattern(30000, 2));
  damage_current_superblock();
  EXPECT_KIND(Store::open(std::make_unique<MemoryDevice>(out_), {.background = false}), corrupt);
}

TEST_F(BlockCopyTest, ATargetThatIsTheSourceIsAsItWas) {
  auto store = open();
  write(*store, 1);
  EXPECT_OK(store->checkpoint());
  write(*store, 2);
  const Bytes before = disk_->bytes();
  MemoryDevice source = device();
  MemoryDevice target = device(); // By another road: nothing of their names tells.
  EXPECT_KIND(copy({.device = source}, target), invalid_argument);
  EXPECT_TRUE(disk_->bytes() == before);
  // Neither does a source that fails then.
  MeddledDevice failing(source);
  MeddledDevice counting(target);
  failing.read_fails = [&] { return counting.writes > 0; };
  EXPECT_KIND(copy({.device = failing}, counting), io);
  EXPECT_EQ(counting.writes, 2U); // One away, and back.
  EXPECT_TRUE(disk_->bytes() == before);
}

TEST_F(BlockCopyTest, WhatIsOnTheTargetIsThereUntilTheSourceIsKnownToBeGood) {
  {
    auto store = open();
    write(*store, 1);
    EXPECT_OK(store->close());
  }
  const Bytes sought = pattern(30000, 1);
  auto& bytes = disk_->bytes();
  const auto found = std::search(bytes.begin(), bytes.end(), sought.begin(), sought.begin() + 64);
  const auto home = std::search(found + 1, bytes.end(), sought.begin(), sought.begin() + 64);
  *(home == bytes.end() ? found : home) ^= std::byte{1};
  put_other_image(out_);
  const Bytes before = out_->bytes();
  MemoryDevice source = device();
  MemoryDevice disk(out_);
  MeddledDevice target(disk);
  EXPECT_KIND(copy({.device = source}, target), corrupt);
  EXPECT_EQ(target.writes, 0U);
  EXPECT_TRUE(out_->bytes() == before);
}

TEST_F(BlockCopyTest, ALogThatIsDamagedCostsATargetNothing) {
  auto store = open();
  for (unsigned seed = 1; seed <= 3; ++seed) {
    write(*store, seed);
  }
  const auto places = record_places();
  ASSERT_GE(places.size(), 3U);
  disk_->bytes()[places.at(places.size() - 2) + 200] ^= std::byte{1};
  put_other_image(out_);
  const Bytes before = out_->bytes();
  MemoryDevice source = device();
  MemoryDevice target(out_);
  EXPECT_KIND(copy({.device = source}, target), corrupt);
  EXPECT_TRUE(out_->bytes() == before);
}

TEST_F(BlockCopyTest, NobodyIsHeldForMoreThanTheLastReading) {
  auto store = open();
  write(*store, 1);
  MemoryDevice disk = device();
  MeddledDevice source(disk);
  bool held = false;
  unsigned seed = 1;
  source.before_read = [&](std::uint64_t offset_bytes) {
    if (!held && offset_bytes > size_bytes / 2) {
      write(*store, ++seed);
      EXPECT_OK(store->checkpoint());
    }
  };
  MemoryDevice out(out_);
  MeddledDevice target(out);
  unsigned flushes_held = 0;
  target.before_flush = [&] { flushes_held += held ? 1 : 0; };
  ASSERT_OK(copy({.device = source,
                  .hold = [&]() -> Status {
                    held = true;
                    return {};
                  },
                  .let_go = [&] { held = false; }},
                 target));
  EXPECT_GT(seed, 2U);
  EXPECT_EQ(flushes_held, 0U);
}

// A device with a cache that a power cut takes: nothing counts that was not made durable.
TEST_F(BlockCopyTest, NoSuperblockIsThereBeforeAllElseIsDurable) {
  auto store = open();
  write(*store, 1);
  EXPECT_OK(store->checkpoint());
  write(*store, 2);
  MemoryDevice source = device();
  auto out = std::make_shared<SimulatedDisk>(Bytes(size_bytes, std::byte{0}));
  unsigned superblocks = 0;
  bool pending_at_one = false;
  out->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::write_durable) {
      ++superblocks;
      pending_at_one = pending_at_one || !out->pending().empty();
    }
  });
  SimulatedDevice target(out);
  ASSERT_OK(target.lock_for_writing());
  ASSERT_OK(copy({.device = source}, target));
  EXPECT_GE(superblocks, 2U);
  EXPECT_FALSE(pending_at_one);
  EXPECT_TRUE(out->pending().empty());
}

TEST_F(BlockCopyTest, AnOwnerThatGoesOnIsReadAgain) {
  auto store = open();
  write(*store, 1);
  MemoryDevice disk = device();
  MeddledDevice source(disk);
  unsigned readings = 0;
  source.before_read = [&](std::uint64_t offset_bytes) {
    if (offset_bytes > size_bytes / 2 && readings < 3) { // In the homes, with others in a moment.
      write(*store, 2 + readings++);
      EXPECT_OK(store->checkpoint());
    }
  };
  MemoryDevice target(out_);
  const auto report = copy({.device = source}, target);
  ASSERT_OK(report);
  EXPECT_EQ(readings, 3U);
  EXPECT_EQ(report->generation, store->info().generation);
  EXPECT_TRUE(report->checked);
  EXPECT_EQ(content_of(out_), pattern(30000, 4));
}

TEST_F(BlockCopyTest, OneThatIsAlwaysFasterIsHeld) {
  auto store = open();
  write(*store, 1);
  MemoryDevice disk = device();
  MeddledDevice source(disk);
  bool held = false;
  unsigned let_go = 0;
  unsigned seed = 1;
  source.before_read = [&](std::uint64_t offset_bytes) {
    if (!held && offset_bytes > size_bytes / 2) {
      write(*store, ++seed);
      EXPECT_OK(store->checkpoint());
    }
  };
  MemoryDevice target(out_);
  const auto report = copy({.device = source,
                            .hold = [&]() -> Status {
                              held = true;
                              return {};
                            },
                            .let_go = [&] { ++let_go; }},
                           target);
  ASSERT_OK(report);
  EXPECT_TRUE(held);
  EXPECT_EQ(let_go, 1U);
  EXPECT_EQ(content_of(out_), pattern(30000, seed));
  // Who cannot be held is given up, and what was made is no image.
  held = false;
  out_ = std::make_shared<MemoryDisk>(size_bytes);
  MemoryDevice other(out_);
  EXPECT_KIND(copy({.device = source}, other), stale);
  EXPECT_FALSE(Store::open(std::make_unique<MemoryDevice>(out_), {.background = false}).ok());
}

TEST_F(BlockCopyTest, WhatIsCommittedMeanwhileIsThereOrNot) {
  auto store = open();
  write(*store, 1);
  MemoryDevice disk = device();
  MeddledDevice source(disk);
  unsigned seed = 1;
  source.before_read = [&](std::uint64_t /*offset_bytes*/) {
    if (seed < 4) { // Into the ring, which the copy comes to at another moment.
      write(*store, ++seed);
    }
  };
  MemoryDevice target(out_);
  const auto report = copy({.device = source}, target);
  ASSERT_OK(report);
  EXPECT_EQ(report->generation, store->info().generation);
  EXPECT_EQ(content_of(out_), pattern(30000, 4));
}

TEST_F(BlockCopyTest, CutAtAnyWriteItIsNoImageOrThisOne) {
  auto store = open();
  write(*store, 1);
  EXPECT_OK(store->checkpoint());
  write(*store, 2);
  MemoryDevice source = device();
  unsigned writes_max = 0;
  unsigned images = 0;
  for (bool is_done = false; !is_done; ++writes_max) {
    // Over another image, which must not come back.
    auto out = std::make_shared<MemoryDisk>(size_bytes);
    put_other_image(out);
    MemoryDevice disk(out);
    MeddledDevice target(disk);
    target.writes_max = writes_max;
    is_done = copy({.device = source}, target).ok();
    const auto made = Store::open(std::make_unique<MemoryDevice>(out, Access::read_only),
                                  {.access = Access::read_only, .background = false});
    if (!made && writes_max > 0) {
      const ErrorKind kind = made.error().kind();
      EXPECT_TRUE(kind == ErrorKind::foreign || kind == ErrorKind::blank ||
                  kind == ErrorKind::corrupt)
          << made.error().text();
    }
    // After the first one the other image has its second superblock still, and nothing else is
    // gone.
    if (made && writes_max > 1) {
      ++images;
      EXPECT_EQ(content_of(out), pattern(30000, 2));
    }
  }
  EXPECT_GE(writes_max, 6U);
  EXPECT_EQ(images, 3U); // By the first superblock, both, and the third one.
}

TEST_F(BlockCopyTest, AnEncryptedOneNeedsNoKey) {
  const std::vector<std::byte> key(32, std::byte{7});
  const KeyRing keys = KeyRing::of_data_key(key);
  disk_ = std::make_shared<MemoryDisk>(size_bytes);
  MemoryDevice fresh(disk_);
  CreateOptions options;
  options.data_key = key;
  options.ring_size_bytes = 256 << 10U;
  options.blobs.push_back({.spec = spec("a", 64 << 10U)});
  ASSERT_OK(create_image(fresh, options));
  OpenOptions opening = inline_options();
  opening.keys = keys;
  auto store = open(opening);
  write(*store, 1);
  write(*store, 2);
  MemoryDevice source = device();
  MemoryDevice target(out_);
  const auto report = copy({.device = source}, target);
  ASSERT_OK(report);
  EXPECT_TRUE(report->encrypted);
  EXPECT_FALSE(report->checked);
  EXPECT_EQ(report->generation, store->info().generation);
  EXPECT_EQ(content_of(out_, keys), pattern(30000, 2));
  target_.keys = keys;
  const auto checked = copy({.device = source}, target);
  ASSERT_OK(checked);
  EXPECT_TRUE(checked->checked);
  // A record that is lost between others is noticed without the key.
  auto& bytes = disk_->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t last = text.rfind("NVRc");
  const std::size_t before = text.rfind("NVRc", last - 1);
  ASSERT_NE(before, std::string_view::npos);
  bytes[before + 300] ^= std::byte{1};
  target_.keys = KeyRing();
  EXPECT_KIND(copy({.device = source}, target), corrupt);
}

TEST_F(BlockCopyTest, WhatIsDamagedIsNotSpread) {
  {
    auto store = open();
    write(*store, 1);
    EXPECT_OK(store->close());
  }
  const Bytes sought = pattern(30000, 1);
  auto& bytes = disk_->bytes();
  const auto found = std::search(bytes.begin(), bytes.end(), sought.begin(), sought.begin() + 64);
  // The home, which lies behind the ring.
  const auto home = std::search(found + 1, bytes.end(), sought.begin(), sought.begin() + 64);
  *(home == bytes.end() ? found : home) ^= std::byte{1};
  MemoryDevice source = device();
  MemoryDevice target(out_);
  EXPECT_KIND(copy({.device = source}, target), corrupt);
  EXPECT_FALSE(Store::open(std::make_unique<MemoryDevice>(out_), {.background = false}).ok());
}

TEST_F(BlockCopyTest, ATargetThatIsTooShort) {
  out_ = std::make_shared<MemoryDisk>(size_bytes / 2);
  MemoryDevice source = device();
  MemoryDevice target(out_);
  EXPECT_KIND(copy({.device = source}, target), no_space);
}

TEST_F(BlockCopyTest, AFileHasItsNameWhenItIsComplete) {
  const TemporaryDirectory folder;
  target_.path = folder.path("copy.nvram");
  auto store = open();
  write(*store, 1);
  MemoryDevice source = device();
  bool was_there = false;
  target_.progress = [&](const BlockCopyProgress& progress) {
    EXPECT_LE(progress.done_bytes, progress.all_bytes);
    was_there = was_there || open_device(target_.path, Access::read_only).ok();
    return Status();
  };
  const auto report = copy_blocks({.device = source}, target_);
  ASSERT_OK(report);
  EXPECT_FALSE(was_there);
  auto made = open_device(target_.path, Access::read_only);
  ASSERT_OK(made);
  const auto copied = Store::open(*std::move(made), {.access = Access::read_only});
  ASSERT_OK(copied);
  EXPECT_EQ((*copied)->info().uuid, store->info().uuid);
  EXPECT_EQ((*copied)->read("a").value(), pattern(30000, 1));
  EXPECT_KIND(copy_blocks({.device = source}, target_), exists);
}

} // namespace
} // namespace vnvram::test
