// Where things are.
#include <set>

#include <gtest/gtest.h>

#include "format/geometry.h"

namespace vnvram::format {
namespace {

TEST(Geometry, NoTwoThingsShareABlockAndAllAreInside) {
  for (const std::uint64_t blocks : {64U, 1024U, 1700U, 3000U, 5000U}) {
    const Geometry geometry(blocks, 16);
    ASSERT_TRUE(geometry.valid());
    std::set<std::uint64_t> used;
    const auto take = [&](std::uint64_t block) {
      EXPECT_LT(block, blocks);
      EXPECT_TRUE(used.insert(block).second) << block;
    };
    for (unsigned slot = 0; slot < 2; ++slot) {
      take(Geometry::superblock_block(slot));
      for (std::uint32_t i = 0; i < index_block_count; ++i) {
        take(Geometry::index_block(i, slot));
      }
      for (std::uint32_t zone = 0; zone < geometry.zone_count(); ++zone) {
        take(geometry.leaf_block(zone, slot));
      }
      for (std::uint32_t page = 0; page < geometry.page_count(); ++page) {
        take(geometry.page_block(page, slot));
      }
    }
    for (std::uint32_t i = 0; i < keys_block_count; ++i) {
      take(keys_start_block + i);
    }
    for (std::uint32_t i = 0; i < geometry.ring_block_count(); ++i) {
      take(Geometry::ring_block(i));
    }
  }
}

TEST(Geometry, GrowingMovesNothing) {
  const Geometry small(1024, 16);
  const Geometry large(1048576, 16);
  EXPECT_EQ(large.image_block_count(), image_block_count_max);
  ASSERT_GT(large.page_count(), small.page_count());
  for (std::uint32_t page = 0; page < small.page_count(); ++page) {
    EXPECT_EQ(small.page_block(page, 1), large.page_block(page, 1));
  }
}

TEST(Geometry, AsManyBlocksAsItSaysAreEnough) {
  for (const std::uint32_t pages : {1U, 2U, 511U, 512U, 513U, 1024U, 5000U}) {
    EXPECT_EQ(Geometry(Geometry::blocks_for(16, pages), 16).page_count(), pages);
    EXPECT_LT(Geometry(Geometry::blocks_for(16, pages) - 1, 16).page_count(), pages);
  }
}

TEST(Geometry, ImpossibleOnesAreInvalid) {
  EXPECT_FALSE(Geometry(0, 0).valid());
  EXPECT_FALSE(Geometry(1024, 2).valid());
  EXPECT_FALSE(Geometry(1024, 1024).valid());
  EXPECT_FALSE(Geometry(1024, 0xffffffff).valid());
  EXPECT_FALSE(Geometry(image_block_count_max + 1, 512).valid());
  EXPECT_FALSE(Geometry(40, 16).valid());
}

} // namespace
} // namespace vnvram::format
