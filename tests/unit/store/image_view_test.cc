// The walk from a superblock to the blobs, with each policy for what is bad; and the blocks below
// it.
#include <algorithm>
#include <cstring>

#include "format/superblock_pair.h"
#include "format/table_node.h"
#include "store/image_view.h"
#include "store/vouched_blocks.h"
#include "support/image_editor.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

/// All that a view reads into.
struct Walk {
  Walk(MemoryDevice& device, OnDamage on_damage)
      : superblock(*format::read_superblocks(device)->current()), codec(superblock),
        pages(device, superblock, codec, cache_size_default_bytes),
        directory(format::geometry_of(superblock).page_count()),
        view(device, superblock, codec, pages, directory, on_damage) {}

  const format::Superblock superblock;
  const format::Codec codec;
  PageStore pages;
  Directory directory;
  ImageView view;
};

class ImageViewTest : public StoreFixture {
protected:
  static constexpr std::uint32_t blob_page = 1; // of the only blob

  void SetUp() override {
    create({spec("a", 100)});
    ASSERT_OK(open()->write("a", bytes("before")));
  }
  /// One record in the ring, over the blob's page; and a page in its slot that is not what it was.
  void damage_page_below_record() {
    {
      ImageEditor editor(disk_->bytes());
      editor.superblock().clean = 0;
      format::RecordBuilder builder;
      builder.add_bytes(blob_page * block_size_bytes, bytes("X"));
      editor.append_record(builder);
      editor.write_superblocks();
    }
    auto there = device();
    const Walk walk(there, OnDamage::stop);
    const format::Geometry geometry = format::geometry_of(walk.superblock);
    for (const unsigned slot : {0U, 1U}) {
      disk_->bytes()[(geometry.page_block(blob_page, slot) * block_size_bytes) + 1] ^= std::byte{1};
    }
  }
  void link_to(std::uint32_t next) {
    ImageEditor(disk_->bytes()).edit_page(0, [&](std::span<std::byte> content) {
      std::memcpy(content.data() + offsetof(format::DirectoryPage, next_page), &next, sizeof(next));
    });
  }
};

TEST_F(ImageViewTest, AWholeImageIsTheSameForAll) {
  for (const OnDamage on_damage : {OnDamage::stop, OnDamage::note, OnDamage::show}) {
    auto there = device();
    Walk walk(there, on_damage);
    ASSERT_OK(walk.view.load_index());
    ASSERT_OK(walk.view.replay_ring({}));
    ASSERT_OK(walk.view.read_directory({}));
    EXPECT_FALSE(walk.view.directory_break());
    EXPECT_EQ(walk.view.directory_end(), "");
    EXPECT_TRUE(walk.view.bad_pages().empty());
    ASSERT_NE(walk.directory.find("a"), nullptr);
    const auto page = walk.view.load(blob_page);
    ASSERT_OK(page);
    EXPECT_EQ(std::memcmp((*page)->bytes.data(), "before", 6), 0);
  }
}

TEST_F(ImageViewTest, ABadPageEndsAnOpeningAndOnlyThat) {
  damage_page_below_record();
  auto there = device();
  Walk stopped(there, OnDamage::stop);
  ASSERT_OK(stopped.view.load_index());
  EXPECT_KIND(stopped.view.replay_ring({}), corrupt);

  Walk noted(there, OnDamage::note);
  std::uint64_t records = 0;
  ASSERT_OK(noted.view.load_index());
  ASSERT_OK(noted.view.replay_ring([&](const auto&, auto, const auto&) {
    ++records;
    return Status();
  }));
  EXPECT_EQ(records, 1U);
  EXPECT_EQ(noted.view.bad_pages().count(blob_page), 1U);
  EXPECT_KIND(noted.view.load(blob_page), corrupt);
  ASSERT_OK(noted.view.read_directory({}));
  EXPECT_NE(noted.directory.find("a"), nullptr);

  Walk shown(there, OnDamage::show);
  ASSERT_OK(shown.view.load_index());
  ASSERT_OK(shown.view.replay_ring({}));
  const auto page = shown.view.load(blob_page);
  ASSERT_OK(page);
  EXPECT_EQ((*page)->bytes[0], std::byte{'X'}); // The record's, over zeros.
  EXPECT_EQ((*page)->bytes[1], std::byte{0});
  EXPECT_EQ(shown.view.bad_pages().count(blob_page), 1U);
}

TEST_F(ImageViewTest, WhatIsReplayedIsPendingUntilItIsInstalled) {
  damage_page_below_record();
  auto there = device();
  Walk walk(there, OnDamage::show);
  ASSERT_OK(walk.view.load_index());
  ASSERT_OK(walk.view.replay_ring([&](const auto&, auto, const auto&) {
    EXPECT_EQ(walk.view.pending_size_bytes(), block_size_bytes);
    EXPECT_EQ(walk.pages.dirty_size_bytes(), 0U);
    walk.view.install_pending();
    EXPECT_EQ(walk.view.pending_size_bytes(), 0U);
    EXPECT_EQ(walk.pages.dirty_size_bytes(), block_size_bytes);
    return Status();
  }));
}

TEST_F(ImageViewTest, ADirectoryThatBreaksIsFollowedOnlyToBeShown) {
  link_to(blob_page); // It has an owner.
  auto there = device();
  for (const OnDamage on_damage : {OnDamage::stop, OnDamage::note, OnDamage::show}) {
    Walk walk(there, on_damage);
    ASSERT_OK(walk.view.load_index());
    ASSERT_OK(walk.view.replay_ring({}));
    std::vector<std::uint32_t> seen;
    const Status read =
        walk.view.read_directory([&](std::uint32_t page, const auto&) { seen.push_back(page); });
    EXPECT_EQ(seen, (std::vector<std::uint32_t>{0, blob_page}));
    EXPECT_EQ(read.ok(), on_damage != OnDamage::stop);
    EXPECT_EQ(walk.view.directory_break().has_value(), on_damage != OnDamage::stop);
    if (walk.view.directory_break()) {
      EXPECT_EQ(walk.view.directory_break()->page, blob_page);
    }
    // Its bytes are the blob's: as a link they lead to nowhere.
    EXPECT_EQ(!walk.view.directory_end().empty(), on_damage == OnDamage::show);
  }
}

TEST_F(ImageViewTest, ALoopOfTheDirectoryEndsForAll) {
  link_to(0xffffffff);
  for (const OnDamage on_damage : {OnDamage::note, OnDamage::show}) {
    auto there = device();
    Walk walk(there, on_damage);
    ASSERT_OK(walk.view.load_index());
    ASSERT_OK(walk.view.replay_ring({}));
    ASSERT_OK(walk.view.read_directory({}));
    EXPECT_EQ(walk.view.directory_break().has_value(), on_damage == OnDamage::note);
    EXPECT_EQ(walk.view.directory_end().empty(), on_damage == OnDamage::note);
  }
}

TEST_F(ImageViewTest, ABadIndexIsAnErrorUnlessItIsToBeShown) {
  for (const unsigned slot : {0U, 1U}) {
    disk_->bytes()[format::Geometry::index_block(0, slot) * block_size_bytes] ^= std::byte{1};
  }
  auto there = device();
  EXPECT_KIND(Walk(there, OnDamage::stop).view.load_index(), corrupt);
  EXPECT_KIND(Walk(there, OnDamage::note).view.load_index(), corrupt);
  Walk shown(there, OnDamage::show);
  ASSERT_OK(shown.view.load_index());
  EXPECT_EQ(*shown.view.load(blob_page), shown.pages.zero_page());
}

TEST_F(ImageViewTest, ABlockIsWrittenToTheSlotThatNothingPointsTo) {
  auto there = device();
  const Walk walk(there, OnDamage::stop);
  VouchedBlocks blocks(there, format::geometry_of(walk.superblock), walk.codec);
  const format::BlockPlace place = format::page_place(100);
  Page content{};
  format::TableEntry entry;
  for (unsigned number = 1; number < 4; ++number) {
    const format::TableEntry before = entry;
    const Page old = content;
    content.bytes[7] = static_cast<std::byte>(number);
    const auto next = blocks.write_next(place, entry, content.bytes);
    ASSERT_OK(next);
    entry = *next;
    Page read{};
    ASSERT_OK(blocks.read(place, entry, read.bytes));
    EXPECT_EQ(read.bytes, content.bytes);
    ASSERT_OK(blocks.read(place, before, read.bytes)); // Whoever goes by the old one finds it.
    EXPECT_EQ(read.bytes, old.bytes);
  }
  EXPECT_TRUE(blocks.write_next(place, entry, Page{}.bytes)->empty());
  disk_->bytes()[blocks.block_of(place, entry) * block_size_bytes] ^= std::byte{1};
  Page read{};
  EXPECT_KIND(blocks.read(place, entry, read.bytes), corrupt);
}

TEST(RecordBudget, NoRingIsReadMoreThanEightTimes) {
  RecordBudget budget(16);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(budget.take(15));
  }
  EXPECT_FALSE(budget.take(9));
  EXPECT_TRUE(budget.take(8));
  EXPECT_FALSE(budget.take(1));
}

} // namespace
} // namespace vnvram
