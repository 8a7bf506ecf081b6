// The same image on another device: beside who writes, cut at each write, and of what is damaged.
#include <algorithm>
#include <string_view>

#include "support/simulated_device.h"
#include "support/temporary_directory.h"
#include "unit/backup/block_copy_fixture.h"

namespace vnvram::test {
namespace {

TEST_F(BlockCopyTest, ItOutlivesTheLossOfEitherSuperblock) {
  auto store = open();
  write(*store, 1);
  write(*store, 2);
  EXPECT_OK(store->checkpoint());
  for (const unsigned behind : {0U, 1U}) { // Commits behind the checkpoint.
    if (behind != 0) {
      write(*store, 2 + behind);
    }
    for (const bool is_current : {true, false}) {
      MemoryDevice source = device();
      MemoryDevice target(out_);
      ASSERT_OK(copy({.device = source}, target));
      damage_superblock(is_current);
      EXPECT_EQ(content_of(out_), pattern(30000, 2 + behind));
    }
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
  damage_superblock(true);
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
  damage_superblock(true);
  EXPECT_KIND(Store::open(std::make_unique<MemoryDevice>(out_), {.background = false}), corrupt);
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
  outrun(source, *store, held, seed);
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
