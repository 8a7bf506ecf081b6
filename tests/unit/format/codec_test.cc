// Checks: what the codec makes it proves, and nothing else; a node holds what it was given.
#include <algorithm>
#include <array>
#include <set>

#include <gtest/gtest.h>

#include "format/codec.h"
#include "format/geometry.h"
#include "format/table_node.h"
#include "unit/format/example_image.h"

namespace vnvram::format {
namespace {

using Content = std::array<std::byte, block_size_bytes>;

Content content_of(std::uint8_t first) {
  Content content{};
  content.front() = std::byte{first};
  return content;
}

TEST(Codec, AnEntryVouchesForItsContentAndForNoOther) {
  const Codec codec(example_superblock());
  for (const unsigned slot : {0U, 1U}) {
    const TableEntry entry = codec.entry_for(page_place(7), slot, content_of(1));
    EXPECT_FALSE(entry.empty());
    EXPECT_EQ(entry.slot(), slot);
    EXPECT_EQ(entry.other_slot(), 1 - slot);
    EXPECT_TRUE(codec.proves(entry, page_place(7), content_of(1)));
    EXPECT_FALSE(codec.proves(entry, page_place(7), content_of(2)));
    EXPECT_FALSE(codec.proves(entry, page_place(7), Content{}));
  }
}

TEST(Codec, AnotherStoresEntryVouchesForNothing) {
  Superblock other = example_superblock();
  other.salt += 1;
  const TableEntry entry = Codec(other).entry_for(page_place(7), 0, content_of(1));
  EXPECT_FALSE(Codec(example_superblock()).proves(entry, page_place(7), content_of(1)));
}

TEST(Codec, WithoutAnEntryTheFirstSlotIsNext) {
  EXPECT_TRUE(TableEntry().empty());
  EXPECT_EQ(TableEntry().other_slot(), 0U);
}

TEST(Codec, ASuperblockLeadsToTheEntriesItWasGiven) {
  Superblock superblock = example_superblock();
  const Codec codec(superblock);
  const IndexEntries entries{codec.entry_for(index_place(0), 1, content_of(1)),
                             codec.entry_for(index_place(1), 0, content_of(2))};
  codec.set_index_entries(superblock, entries);
  EXPECT_FALSE(Codec::proves(superblock));
  codec.finish(superblock, 1);
  EXPECT_TRUE(Codec::proves(superblock));
  EXPECT_EQ(superblock.copy, 1U);
  EXPECT_EQ(codec.index_entries(superblock), entries);
  superblock.generation ^= 1;
  EXPECT_FALSE(Codec::proves(superblock));
}

TEST(Codec, ARecordIsProvenOnceItIsFinished) {
  const Codec codec(example_superblock());
  std::vector<std::byte> record = example_record();
  EXPECT_TRUE(codec.proves_record(record));
  record.back() ^= std::byte{1};
  EXPECT_FALSE(codec.proves_record(record));
  EXPECT_TRUE(codec.finish_record(record));
  EXPECT_TRUE(codec.proves_record(record));
}

TEST(TableNode, HoldsAnEntryForEachChildThatGeometrySaysItHas) {
  const Codec codec(example_superblock());
  const Geometry geometry(4000, 16);
  ASSERT_GT(geometry.zone_count(), 2U);
  std::uint32_t pages_seen = 0;
  for (std::uint32_t zone = 0; zone < geometry.zone_count(); ++zone) {
    const NumberRange pages = geometry.pages_of(zone);
    EXPECT_EQ(pages.first, pages_seen);
    pages_seen = pages.end;
    TableNode leaf(plain_entry_size_bytes);
    for (std::uint32_t page = pages.first; page < pages.end; ++page) {
      EXPECT_EQ(geometry.zone_of(page), zone);
      leaf.set_entry_of(
          page, codec.entry_for(page_place(page), page % 2, content_of(std::uint8_t(page))));
    }
    EXPECT_EQ(leaf.entries_used(), pages.count());
    for (std::uint32_t page = pages.first; page < pages.end; ++page) {
      EXPECT_TRUE(
          codec.proves(leaf.entry_of(page), page_place(page), content_of(std::uint8_t(page))));
      EXPECT_EQ(leaf.entry_of(page).slot(), page % 2);
    }
    TableNode copy(plain_entry_size_bytes);
    std::ranges::copy(leaf.bytes(), copy.bytes().begin());
    EXPECT_EQ(copy, leaf);
  }
  EXPECT_EQ(pages_seen, geometry.page_count());
  EXPECT_EQ(geometry.zones_of(0).end, geometry.zone_count());
  EXPECT_EQ(geometry.zones_of(1).count(), 0U);
}

} // namespace
} // namespace vnvram::format
