// Of an encrypted image: what the codec seals it opens, at that place, in that image, and nowhere
// else; and nothing is sealed twice alike.
#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "format/all_zero.h"
#include "format/codec.h"
#include "format/record_builder.h"
#include "format/record_view.h"
#include "format/superblock.h"
#include "format/table_node.h"
#include "unit/format/example_image.h"

namespace vnvram::format {
namespace {

using SealedBlock = std::array<std::byte, block_size_bytes>;

constexpr std::uint64_t sealed_space_bytes = 64 * block_size_bytes;

Superblock encrypted_superblock() {
  Superblock superblock = example_superblock();
  superblock.features_must_know = feature_encrypted;
  superblock.entry_size_bytes = sealed_entry_size_bytes;
  superblock.index_entries = {};
  return superblock;
}

Codec sealing_codec(const Superblock& superblock, std::uint8_t key = 7) {
  const std::vector<std::byte> data_key(32, std::byte{key});
  return {superblock, ImageKeys::derive(data_key, superblock.uuid).value()};
}

SealedBlock some_content() {
  SealedBlock content{};
  std::ranges::fill(std::span(content).first(100), std::byte{'x'});
  return content;
}

TEST(SealedCodec, OpensWhatItSealedAtThatPlaceOnly) {
  const Codec codec = sealing_codec(encrypted_superblock());
  for (const unsigned slot : {0U, 1U}) {
    SealedBlock block = some_content();
    const TableEntry entry = codec.seal(page_place(7), slot, block).value();
    EXPECT_EQ(entry.slot(), slot);
    EXPECT_FALSE(entry.empty());
    EXPECT_NE(block, some_content());
    for (const BlockPlace wrong : {page_place(8), leaf_place(7), index_place(7)}) {
      SealedBlock there = block;
      EXPECT_FALSE(codec.open(entry, wrong, there));
      EXPECT_NE(there, some_content());
    }
    EXPECT_TRUE(codec.proves(entry, page_place(7), some_content()));
    EXPECT_FALSE(codec.proves(entry, page_place(8), some_content()));
    SealedBlock again = some_content();
    EXPECT_TRUE(codec.seal_again(entry, page_place(7), again));
    EXPECT_EQ(again, block);
    EXPECT_TRUE(codec.open(entry, page_place(7), block));
    EXPECT_EQ(block, some_content());
  }
}

TEST(SealedCodec, NoChangedByteOfABlockIsOpened) {
  const Codec codec = sealing_codec(encrypted_superblock());
  SealedBlock block = some_content();
  const TableEntry entry = codec.seal(leaf_place(3), 0, block).value();
  for (std::size_t at = 0; at < block.size(); at += 61) {
    SealedBlock changed = block;
    changed[at] ^= std::byte{0x10};
    EXPECT_FALSE(codec.open(entry, leaf_place(3), changed)) << at;
  }
}

TEST(SealedCodec, AnotherKeyOrAnotherImageOpensNothing) {
  const Superblock superblock = encrypted_superblock();
  Superblock other = superblock;
  other.uuid[0] ^= std::byte{1};
  SealedBlock block = some_content();
  const TableEntry entry = sealing_codec(superblock).seal(page_place(1), 0, block).value();
  for (const Codec& codec : {sealing_codec(superblock, 8), sealing_codec(other)}) {
    SealedBlock there = block;
    EXPECT_FALSE(codec.open(entry, page_place(1), there));
  }
}

TEST(SealedCodec, TheSameContentIsNeverSealedTwiceAlike) {
  const Codec codec = sealing_codec(encrypted_superblock());
  std::set<std::array<std::byte, 16>> seen;
  std::set<TableEntry> entries;
  for (int i = 0; i < 64; ++i) {
    SealedBlock block = some_content();
    entries.insert(codec.seal(page_place(7), 0, block).value());
    std::array<std::byte, 16> beginning{};
    std::copy_n(block.begin(), beginning.size(), beginning.begin());
    seen.insert(beginning);
  }
  EXPECT_EQ(seen.size(), 64U);
  EXPECT_EQ(entries.size(), 64U);
}

// The slot has the place of one bit of the nonce: an entry of the other slot is another seal.
TEST(SealedCodec, AnEntryOfTheOtherSlotOpensNothing) {
  const Codec codec = sealing_codec(encrypted_superblock());
  SealedBlock block = some_content();
  TableNode node(sealed_entry_size_bytes);
  node.set_entry_of(5, codec.seal(page_place(5), 0, block).value());
  EXPECT_EQ(node.entry_of(5).slot(), 0U);
  node.bytes()[std::size_t{5} * sealed_entry_size_bytes] ^= std::byte{1};
  EXPECT_EQ(node.entry_of(5).slot(), 1U);
  EXPECT_FALSE(codec.open(node.entry_of(5), page_place(5), block));
}

TEST(SealedCodec, ASuperblockIsOfWhoHasTheKey) {
  Superblock superblock = encrypted_superblock();
  const Codec codec = sealing_codec(superblock);
  SealedBlock block = some_content();
  const IndexEntries entries{codec.seal(index_place(0), 1, block).value(), TableEntry()};
  codec.set_index_entries(superblock, entries);
  codec.finish(superblock, 1);
  EXPECT_EQ(codec.index_entries(superblock), entries);
  EXPECT_TRUE(codec.is_authentic(superblock));
  EXPECT_FALSE(sealing_codec(superblock, 8).is_authentic(superblock));
  const auto bytes = std::as_bytes(std::span(&superblock, 1));
  SealedBlock whole{};
  std::ranges::copy(bytes, whole.begin());
  EXPECT_EQ(check_superblock(whole, 1).state, SuperblockState::valid);
  // Whoever changes a field can make the checksum right again, and nothing else.
  Superblock forged = superblock;
  forged.generation += 1;
  sealing_codec(superblock, 8).finish(forged, 1);
  forged.key_id = superblock.key_id;
  EXPECT_FALSE(codec.is_authentic(forged));
  Superblock moved = superblock;
  moved.copy = 0;
  EXPECT_FALSE(codec.is_authentic(moved));
}

TEST(SealedCodec, FieldsOfTheOtherKindOfImageAreNoSuperblock) {
  Superblock superblock = encrypted_superblock();
  superblock.index_entries = {1, 0};
  const Codec codec = sealing_codec(superblock);
  codec.finish(superblock, 0);
  SealedBlock block{};
  std::memcpy(block.data(), &superblock, sizeof(superblock));
  EXPECT_EQ(check_superblock(block, 0).state, SuperblockState::bogus);
  Superblock plain = example_superblock();
  plain.key_id[3] = std::byte{1};
  Codec(plain).finish(plain, 0);
  std::memcpy(block.data(), &plain, sizeof(plain));
  EXPECT_EQ(check_superblock(block, 0).state, SuperblockState::bogus);
}

class SealedRecord : public ::testing::Test {
protected:
  std::vector<std::byte> make(const RecordBuilder::Position& position) const {
    RecordBuilder builder;
    builder.add_bytes(block_size_bytes + 10, std::as_bytes(std::span(text_)));
    builder.add_zeros(5000, 30);
    std::uint64_t checksum = 0;
    const auto record = builder.finish(position, codec_, checksum).value();
    return {record.begin(), record.end()};
  }
  [[nodiscard]] bool counts(const std::vector<std::byte>& record) const {
    const char* reason = nullptr;
    return RecordView::check(record, codec_, sealed_space_bytes, reason).has_value();
  }
  /// With a checksum that is right.
  static std::vector<std::byte> with_checksum(std::vector<std::byte> record) {
    // That of a plain codec: it seals nothing, and has the same salt.
    EXPECT_TRUE(Codec(example_superblock()).finish_record(record));
    return record;
  }

  static constexpr std::string_view text_ = "what nobody is to read";
  const Superblock superblock_ = encrypted_superblock();
  const Codec codec_ = sealing_codec(superblock_);
};

TEST_F(SealedRecord, SaysWhatItSaidAndHidesIt) {
  const std::vector<std::byte> record = make({2, 3, 4, 5});
  const auto text = std::as_bytes(std::span(text_));
  EXPECT_EQ(std::search(record.begin(), record.end(), text.begin(), text.end()), record.end());
  const char* reason = "";
  const auto view = RecordView::check(record, codec_, sealed_space_bytes, reason);
  ASSERT_TRUE(view.has_value()) << reason;
  EXPECT_EQ(view->header().sequence, 4U);
  ASSERT_EQ(view->extents().size(), 2U);
  EXPECT_TRUE(std::ranges::equal(view->extents()[0].bytes, std::as_bytes(std::span(text_))));
  EXPECT_EQ(view->extents()[1].kind, ExtentKind::zeros);
  EXPECT_EQ(view->extents()[1].offset_bytes, 5000U);
  // What tells how much it says is not there for others to see.
  EXPECT_TRUE(all_zero(std::span(record).subspan(offsetof(RecordHeader, extent_count), 8)));
}

TEST_F(SealedRecord, CountsInItsPlaceInTheHistoryOnly) {
  const std::vector<std::byte> record = make({2, 3, 4, 5});
  ASSERT_TRUE(counts(record));
  for (const std::size_t field :
       {offsetof(RecordHeader, epoch_number), offsetof(RecordHeader, epoch_random),
        offsetof(RecordHeader, sequence), offsetof(RecordHeader, chain),
        offsetof(RecordHeader, extent_count), offsetof(RecordHeader, nonce),
        offsetof(RecordHeader, tag), offsetof(RecordHeader, reserved), std::size_t{200}}) {
    std::vector<std::byte> changed = record;
    changed[field] ^= std::byte{1};
    EXPECT_FALSE(counts(with_checksum(changed))) << field;
  }
}

TEST_F(SealedRecord, IsAnotherEachTime) {
  EXPECT_NE(make({2, 3, 4, 5}), make({2, 3, 4, 5}));
}

TEST_F(SealedRecord, APlainOneIsNoneOfThisImage) {
  RecordBuilder builder;
  builder.add_bytes(0, std::as_bytes(std::span(text_)));
  std::uint64_t checksum = 0;
  const auto plain = builder.finish({2, 3, 4, 5}, Codec(example_superblock()), checksum).value();
  EXPECT_FALSE(counts({plain.begin(), plain.end()}));
}

TEST(SealedGeometry, HasEntriesAndZonesAsTheDocumentSays) {
  const Geometry geometry(image_block_count_max, 512, sealed_entry_size_bytes);
  EXPECT_EQ(geometry.page_count(), 20808U);
  EXPECT_EQ(geometry.zone_count(), 204U);
  EXPECT_EQ(geometry.zone_block_count(), 206U);
  EXPECT_EQ(geometry.zone_of(102), 1U);
  EXPECT_EQ(geometry.page_block(102, 0), geometry.leaf_block(1, 0) + 2);
  EXPECT_EQ(geometry.zones_of(1).first, 102U);
}

} // namespace
} // namespace vnvram::format
