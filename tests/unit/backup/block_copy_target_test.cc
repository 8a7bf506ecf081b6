// What becomes of the place that an image is copied to, and of who is held for it.
#include <algorithm>
#include <string>

#include "format/geometry.h"
#include "store/third_copy.h"
#include "support/simulated_device.h"
#include "unit/backup/block_copy_fixture.h"

namespace vnvram::test {
namespace {

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
  outrun(source, *store, held, seed);
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

TEST_F(BlockCopyTest, ATargetThatIsTooShort) {
  out_ = std::make_shared<MemoryDisk>(size_bytes / 2);
  MemoryDevice source = device();
  MemoryDevice target(out_);
  EXPECT_KIND(copy({.device = source}, target), no_space);
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

TEST_F(BlockCopyTest, AFailureBehindTheFirstSuperblockLeavesNoImage) {
  auto store = open();
  write(*store, 1);
  MemoryDevice source = device();
  MemoryDevice whole(out_);
  MeddledDevice counting(whole);
  ASSERT_OK(copy({.device = source}, counting));
  const unsigned all = counting.writes; // The last three are the superblocks.
  for (const unsigned failing : {all - 2, all - 1}) {
    auto out = std::make_shared<MemoryDisk>(size_bytes);
    MemoryDevice disk(out);
    MeddledDevice target(disk);
    target.failing_write = failing;
    EXPECT_KIND(copy({.device = source}, target), io);
    EXPECT_FALSE(Store::open(std::make_unique<MemoryDevice>(out), {.background = false}).ok());
    // If that cannot be taken back, it is said.
    out = std::make_shared<MemoryDisk>(size_bytes);
    MemoryDevice lost(out);
    MeddledDevice gone(lost);
    gone.writes_max = failing;
    const auto report = copy({.device = source}, gone);
    ASSERT_FALSE(report);
    EXPECT_NE(report.error().cause().find("may be a whole image"), std::string::npos);
  }
}

TEST_F(BlockCopyTest, AnImageThatWasLargerLeavesNothing) {
  out_ = std::make_shared<MemoryDisk>(3 * size_bytes);
  put_other_image(out_);
  const auto behind = std::span(out_->bytes()).subspan(size_bytes, size_bytes);
  std::ranges::fill(behind, std::byte{0xaa}); // Its secrets.
  MemoryDevice source = device();
  MemoryDevice target(out_);
  ASSERT_OK(copy({.device = source}, target));
  EXPECT_TRUE(std::ranges::all_of(behind, [](std::byte each) { return each == std::byte{}; }));
  // Also one of which nothing tells how large it was.
  put_other_image(out_);
  std::fill_n(out_->bytes().begin(), 2 * block_size_bytes, std::byte{1});
  std::fill_n(out_->bytes().end() - 8 * block_size_bytes, block_size_bytes, std::byte{1});
  std::ranges::fill(behind, std::byte{0xaa});
  ASSERT_OK(copy({.device = source}, target));
  EXPECT_TRUE(std::ranges::all_of(behind, [](std::byte each) { return each == std::byte{}; }));
}

// On a device that has no room behind the image it lies where the image comes.
TEST_F(BlockCopyTest, AnOldThirdSuperblockGoesBeforeItsImage) {
  create({spec("a", 64 << 10U)}, 4 * size_bytes, 256 << 10U);
  MemoryDevice source = device();
  const auto look = look_at_superblocks(source);
  ASSERT_OK(look);
  const std::uint64_t room_bytes = (look->current.image_block_count + 4) * block_size_bytes;
  const std::size_t first_page = look->current.zones_start_block * block_size_bytes;
  unsigned writes_max = 0;
  for (bool is_done = false; !is_done; ++writes_max) {
    auto out = std::make_shared<MemoryDisk>(room_bytes);
    put_other_image(out);
    std::fill_n(out->bytes().begin() + static_cast<std::ptrdiff_t>(first_page), block_size_bytes,
                std::byte{0xaa}); // A page of it.
    MemoryDevice disk(out);
    MeddledDevice target(disk);
    target.writes_max = writes_max;
    is_done = copy({.device = source}, target).ok();
    const bool is_touched = out->bytes()[first_page] != std::byte{0xaa};
    const auto third = read_third_copy(disk);
    ASSERT_OK(third);
    EXPECT_FALSE(is_touched && third->has_value()) << writes_max;
  }
  EXPECT_GE(writes_max, 8U); // In pieces.
}

TEST_F(BlockCopyTest, WhoIsHeldDoesNotWaitForTheTarget) {
  auto store = open();
  write(*store, 1);
  MemoryDevice disk = device();
  MeddledDevice source(disk);
  bool held = false;
  unsigned seed = 1;
  outrun(source, *store, held, seed);
  MemoryDevice out(out_);
  MeddledDevice target(out);
  unsigned writes_held = 0;
  bool was_held = false;
  unsigned seed_held = 0;
  target.before_write = [&] {
    writes_held += held ? 1 : 0;
    if (was_held && !held) { // A slow target, and an owner that goes on.
      write(*store, ++seed);
      EXPECT_OK(store->checkpoint());
    }
  };
  ASSERT_OK(copy({.device = source,
                  .hold = [&]() -> Status {
                    held = was_held = true;
                    seed_held = seed;
                    return {};
                  },
                  .let_go = [&] { held = false; }},
                 target));
  EXPECT_EQ(writes_held, 0U);
  EXPECT_GT(seed, seed_held);
  EXPECT_EQ(content_of(out_), pattern(30000, seed_held));
}

TEST_F(BlockCopyTest, WhoCouldNotBeHeldIsNotToldToUseTheSocket) {
  auto store = open();
  write(*store, 1);
  MemoryDevice disk = device();
  MeddledDevice source(disk);
  unsigned seed = 1;
  source.before_read = [&](std::uint64_t offset_bytes) {
    if (offset_bytes > size_bytes / 2) { // Its hold has ended too early, each time.
      write(*store, ++seed);
      EXPECT_OK(store->checkpoint());
    }
  };
  MemoryDevice target(out_);
  const auto report =
      copy({.device = source, .hold = []() -> Status { return {}; }, .let_go = [] {}}, target);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::stale);
  EXPECT_EQ(report.error().remedy().find("socket"), std::string::npos);
}

TEST_F(BlockCopyTest, ItEndsWhereverItReads) {
  auto store = open();
  write(*store, 1);
  EXPECT_OK(store->checkpoint());
  put_other_image(out_);
  MemoryDevice source = device();
  unsigned readings = 0;
  unsigned last_reading = ~0U;
  const auto count = [&](std::size_t bytes) -> Status {
    EXPECT_GT(bytes, 0U);
    return readings++ < last_reading ? Status() : Error(ErrorKind::io, "ended");
  };
  MemoryDevice out(out_);
  {
    MeddledDevice target(out);
    ASSERT_OK(copy({.device = source, .before_read = count}, target));
  }
  const unsigned all = std::exchange(readings, 0);
  put_other_image(out_);
  const Bytes before = out_->bytes();
  MeddledDevice target(out);
  unsigned before_anything_is_written = 0;
  for (last_reading = 0; last_reading < all; ++last_reading, readings = 0) {
    target.writes = 0;
    EXPECT_KIND(copy({.device = source, .before_read = count}, target), io);
    EXPECT_EQ(readings, last_reading + 1);
    before_anything_is_written += target.writes == 0 ? 1 : 0;
    std::ranges::copy(before, out_->bytes().begin());
  }
  EXPECT_GT(before_anything_is_written, 5U); // Also while the source is looked over.
}

// The record behind a break is looked at once more, and is another one by then.
TEST_F(BlockCopyTest, ARecordIsNoLongerThanRecordsAre) {
  auto store = open();
  const auto place_of_newest = [&] {
    const auto places = record_places();
    const auto found = std::ranges::find_if(places, [&](std::size_t at) {
      format::RecordHeader header{};
      std::memcpy(&header, disk_->bytes().data() + at, sizeof(header));
      return header.sequence == store->info().generation;
    });
    return found == places.end() ? 0 : *found;
  };
  std::size_t first = 0;
  unsigned seed = 0;
  while (first != format::ring_start_block * block_size_bytes) { // There is much behind it then.
    ASSERT_LT(seed, 100U);
    EXPECT_OK(store->checkpoint());
    write(*store, ++seed);
    first = place_of_newest();
  }
  write(*store, ++seed);
  const std::size_t second = place_of_newest();
  EXPECT_OK(store->checkpoint());
  disk_->bytes()[first + 200] ^= std::byte{1};
  MemoryDevice disk = device();
  const auto look = look_at_superblocks(disk);
  ASSERT_OK(look);
  const auto position =
      static_cast<std::uint32_t>(second / block_size_bytes) - format::ring_start_block;
  const std::uint32_t to_the_end = look->current.ring_block_count - position;
  ASSERT_GT(to_the_end, format::geometry_of(look->current).record_block_count_max());
  MeddledDevice source(disk);
  bool was_long = false;
  source.after_read = [&](std::uint64_t offset_bytes, std::span<std::byte> read) {
    if (offset_bytes == second && read.size() == block_size_bytes) {
      format::RecordHeader header{};
      std::memcpy(&header, read.data(), sizeof(header));
      header.block_count = to_the_end;
      std::memcpy(read.data(), &header, sizeof(header));
    }
    was_long = was_long || (offset_bytes == second && read.size() == to_the_end * block_size_bytes);
  };
  MemoryDevice target(out_);
  ASSERT_OK(copy({.device = source}, target));
  EXPECT_FALSE(was_long);
}

} // namespace
} // namespace vnvram::test
