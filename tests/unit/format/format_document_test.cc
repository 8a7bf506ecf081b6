// docs/format.md is true: its worked example is what this code writes, and it decodes.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "crypto/key_derivation.h"
#include "format/codec.h"
#include "format/key_slot.h"
#include "format/record_view.h"
#include "format/table_node.h"
#include "unit/format/example_image.h"
#include "unit/format/format_document.h"

namespace vnvram::format {
namespace {

using Block = std::array<std::byte, block_size_bytes>;

TEST(FormatDocument, TheSuperblockDecodes) {
  const Block block = read_dump("### Example: superblock A");
  const CheckedSuperblock checked = check_superblock(block, 0);
  ASSERT_EQ(checked.state, SuperblockState::valid) << checked.reason;
  EXPECT_EQ(checked.superblock.epoch_number, 2U);
  EXPECT_EQ(checked.superblock.ring_position, 257U);
  const Superblock made = example_superblock();
  EXPECT_EQ(std::memcmp(block.data(), &made, sizeof(made)), 0);
}

TEST(FormatDocument, TheRecordDecodes) {
  const Block block = read_dump("### Example: a record");
  const Superblock superblock = example_superblock();
  const char* reason = nullptr;
  const auto record = RecordView::check(
      block, Codec(superblock), geometry_of(superblock).page_count() * block_size_bytes, reason);
  ASSERT_TRUE(record.has_value()) << reason;
  EXPECT_EQ(record->header().sequence, 2U);
  EXPECT_EQ(record->header().chain, superblock.chain);
  ASSERT_EQ(record->extents().size(), 2U);
  EXPECT_EQ(std::memcmp(record->extents()[0].bytes.data(), "hello", 5), 0);
  EXPECT_EQ(record->extents()[1].offset_bytes, 712U);
  const std::vector<std::byte> made = example_record();
  ASSERT_EQ(made.size(), block.size());
  EXPECT_EQ(std::memcmp(block.data(), made.data(), made.size()), 0);
}

TEST(FormatDocument, TheEncryptedSuperblockDecodes) {
  const Block block = read_dump("### Example: superblock A, encrypted");
  const CheckedSuperblock checked = check_superblock(block, 0);
  ASSERT_EQ(checked.state, SuperblockState::valid) << checked.reason;
  const Codec codec = example_sealing_codec();
  EXPECT_TRUE(codec.is_authentic(checked.superblock));
  Superblock again = checked.superblock;
  again.mac = {};
  again.key_id = {};
  codec.finish(again, 0);
  EXPECT_EQ(std::memcmp(&again, block.data(), sizeof(again)), 0);
  EXPECT_EQ(codec.index_entries(again)[0].slot(), 0U);
}

// The document shows the record's beginning and end: what is between them has to be made here.
TEST(FormatDocument, TheEncryptedRecordIsTheOneThatItShows) {
  const Block shown = read_dump("### Example: a record, encrypted");
  const Codec codec = example_sealing_codec();
  std::vector<std::byte> record = example_record();
  SealingKey::Nonce nonce{};
  for (std::size_t i = 0; i < nonce.size(); ++i) {
    nonce[i] = static_cast<std::byte>(0x80 + i);
  }
  const auto keys = ImageKeys::derive(example_data_key(), example_superblock().uuid).value();
  std::memcpy(&record[offsetof(RecordHeader, reserved)],
              &record[offsetof(RecordHeader, extent_count)], 8);
  std::memset(&record[offsetof(RecordHeader, extent_count)], 0, 8);
  std::vector<std::byte> bound(record.begin(), record.begin() + 8);
  bound.insert(bound.end(), record.begin() + 16, record.begin() + 56);
  SealingKey::Tag tag{};
  ASSERT_TRUE(keys->records().seal(
      nonce, bound, std::span(record).subspan(offsetof(RecordHeader, reserved)), tag));
  std::ranges::copy(nonce, record.begin() + offsetof(RecordHeader, nonce));
  std::ranges::copy(tag, record.begin() + offsetof(RecordHeader, tag));
  ASSERT_TRUE(Codec(example_superblock()).finish_record(record)); // The checksum.
  EXPECT_TRUE(std::equal(record.begin(), record.begin() + 0xb0, shown.begin()));
  EXPECT_TRUE(std::equal(record.begin() + 0xff0, record.end(), shown.begin() + 0xff0));
  const char* reason = nullptr;
  EXPECT_TRUE(RecordView::check(record, codec, std::uint64_t{1} << 20U, reason)) << reason;
}

TEST(FormatDocument, TheSealedPageIsWhatItsEntrySays) {
  const Block shown = read_dump("### Example: a page and its entry");
  const Codec codec = example_sealing_codec();
  TableNode leaf(sealed_entry_size_bytes);
  std::ranges::copy(std::span(shown).first(sealed_entry_size_bytes),
                    leaf.bytes().begin() + sealed_entry_size_bytes);
  const TableEntry entry = leaf.entry_of(1);
  EXPECT_EQ(entry.slot(), 1U);
  Block page{};
  std::memcpy(page.data(), "hello", 5);
  Block sealed = page;
  ASSERT_TRUE(codec.seal_again(entry, page_place(1), sealed));
  EXPECT_TRUE(std::equal(sealed.begin(), sealed.begin() + 32, shown.begin() + 0x30));
  EXPECT_TRUE(codec.open(entry, page_place(1), sealed));
  EXPECT_EQ(sealed, page);
}

TEST(FormatDocument, TheSealedLeafIsWhatItsEntrySays) {
  const Block shown = read_dump("### Example: a leaf and its entry");
  const Codec codec = example_sealing_codec();
  TableNode index(sealed_entry_size_bytes);
  std::ranges::copy(std::span(shown).first(sealed_entry_size_bytes), index.bytes().begin());
  const TableEntry entry = index.entry_of(0);
  EXPECT_EQ(entry.slot(), 0U);
  const Block page = read_dump("### Example: a page and its entry");
  TableNode leaf(sealed_entry_size_bytes);
  std::ranges::copy(std::span(page).first(sealed_entry_size_bytes),
                    leaf.bytes().begin() + sealed_entry_size_bytes);
  TableNode sealed = leaf;
  ASSERT_TRUE(codec.seal_again(entry, leaf_place(0), sealed.bytes()));
  EXPECT_TRUE(
      std::equal(sealed.bytes().begin(), sealed.bytes().begin() + 96, shown.begin() + 0x30));
  EXPECT_TRUE(codec.open(entry, leaf_place(0), sealed.bytes()));
  EXPECT_EQ(sealed, leaf);
}

// All of the copy that is not shown is zero. It is opened by the rules of the document, and made
// again.
TEST(FormatDocument, TheKeySlotsDecode) {
  const Block shown = read_dump("### Example: key slots");
  std::vector<std::byte> copy(header_copy_size_bytes);
  std::ranges::copy(shown, copy.begin());
  const HeaderPlace place{.part = HeaderPart::key_slots, .uuid = example_superblock().uuid};
  const CheckedHeaderCopy checked =
      check_header_copy(place, std::span(copy).first<header_copy_size_bytes>());
  ASSERT_EQ(checked.state, HeaderCopyState::valid) << checked.reason;
  EXPECT_EQ(checked.sequence, 3U);
  const char* reason = nullptr;
  const auto slots = parse_key_slots(checked.content, reason);
  ASSERT_TRUE(slots.has_value()) << reason;
  ASSERT_EQ(slots->size(), 1U);
  const KeySlot& slot = slots->front();
  EXPECT_EQ(slot.number, 0U);
  EXPECT_EQ(slot.kind, KeySlotKind::key);
  EXPECT_EQ(slot.created_seconds, 1700000000U);
  EXPECT_EQ(slot.label, "example");
  ASSERT_EQ(slot.wraps.size(), 1U);
  const KeyWrap& wrap = slot.wraps.front();

  const auto holders_key = std::as_bytes(std::span(std::string_view("a machine's key!")));
  const auto wrap_key =
      derive_key(holders_key, slot.salt, "vnvram 1 key slot", SealingKey::key_size_bytes).value();
  std::vector<std::byte> data_key(wrap.sealed_key.begin(), wrap.sealed_key.end());
  ASSERT_TRUE(SealingKey::make(wrap_key.get())
                  ->open(wrap.nonce, wrap_associated_data(place.uuid, slot, wrap.key_id), data_key,
                         wrap.tag));
  EXPECT_EQ(data_key, example_data_key());
  EXPECT_EQ(wrap.key_id, ImageKeys::derive(data_key, place.uuid).value()->id());
  const auto voucher_key =
      derive_key(data_key, place.uuid, "vnvram 1 slot voucher", SealingKey::key_size_bytes).value();
  EXPECT_TRUE(
      SealingKey::make(voucher_key.get())
          ->open(wrap.nonce, voucher_associated_data(place.uuid, slot, wrap), {}, wrap.voucher));

  EXPECT_EQ(compose_header_copy(place, checked.sequence, compose_key_slots(*slots).value()), copy);
}

} // namespace
} // namespace vnvram::format
