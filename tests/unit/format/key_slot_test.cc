// Key slots as they are on the device: round trips, and entries that cannot be.
#include "format/key_slot.h"

#include <cstring>

#include <gtest/gtest.h>

#include "support/expect_status.h"

namespace vnvram::format {
namespace {

KeyWrap wrap_with(int id) {
  KeyWrap wrap;
  wrap.key_id.fill(static_cast<std::byte>(id));
  wrap.nonce.fill(std::byte{2});
  wrap.sealed_key.fill(std::byte{3});
  wrap.tag.fill(std::byte{4});
  wrap.voucher.fill(std::byte{5});
  return wrap;
}

/// One of each kind.
KeySlots all_kinds() {
  KeySlot key{.number = 0,
              .kind = KeySlotKind::key,
              .created_seconds = 1700000000,
              .label = "the host's",
              .salt = {},
              .cost = {},
              .wraps = {wrap_with(1)},
              .public_part = {}};
  key.salt.fill(std::byte{9});
  KeySlot passphrase = key;
  passphrase.number = 3;
  passphrase.kind = KeySlotKind::passphrase;
  passphrase.cost = {.passes = 3, .memory_kib = 65536};
  passphrase.label = std::string(63, '~');
  KeySlot holder = key;
  holder.number = 4;
  holder.kind = KeySlotKind::public_key;
  holder.wraps = {wrap_with(1), wrap_with(2)};
  holder.wraps[0].ephemeral.fill(std::byte{6});
  holder.wraps[1].ephemeral.fill(std::byte{7});
  KeySlot external = key;
  external.number = 15;
  external.kind = KeySlotKind::external;
  external.label = "";
  external.public_part = std::vector<std::byte>(4093, std::byte{'x'});
  return {key, passphrase, holder, external};
}

// Where they are in an entry.
constexpr std::size_t public_part_bytes_at = 6;
constexpr std::size_t label_at = 16;
constexpr std::size_t passes_at = 112;
constexpr std::size_t memory_at = 116;
constexpr std::size_t lanes_at = 120;
constexpr std::size_t wrap_count_at = 124;
constexpr std::size_t first_wrap_at = 128;

HeaderContent slots_content(const KeySlots& slots) {
  const auto content = compose_key_slots(slots);
  EXPECT_TRUE(content.ok());
  return content ? *content : HeaderContent{};
}

bool refused(const HeaderContent& content) {
  const char* reason = nullptr;
  const bool parsed = parse_key_slots(content, reason).has_value();
  EXPECT_TRUE(parsed || reason != nullptr);
  return !parsed;
}

/// One slot of all_kinds() with a number of `size_bytes` at `place` changed.
bool refused_with(std::size_t slot, std::size_t place, std::uint64_t value,
                  std::size_t size_bytes) {
  HeaderContent content = slots_content({all_kinds()[slot]});
  EXPECT_FALSE(refused(content));
  std::memcpy(&content.entries[place], &value, size_bytes);
  return refused(content);
}

TEST(KeySlotTest, AllKindsComeBack) {
  const HeaderContent content = slots_content(all_kinds());
  EXPECT_EQ(content.entry_count, 4U);
  EXPECT_EQ(content.entries.size(), 264U + 264U + 400U + 4360U);
  const char* reason = nullptr;
  const auto slots = parse_key_slots(content, reason);
  ASSERT_TRUE(slots.has_value()) << reason;
  EXPECT_EQ(*slots, all_kinds());
}

TEST(KeySlotTest, NoneComeBackAsNone) {
  const char* reason = nullptr;
  const auto slots = parse_key_slots(slots_content({}), reason);
  ASSERT_TRUE(slots.has_value()) << reason;
  EXPECT_TRUE(slots->empty());
}

TEST(KeySlotTest, LengthsThatCannotBeAreRefused) {
  for (std::size_t slot = 0; slot < 4; ++slot) {
    for (const std::uint64_t size : {0U, 7U, 8U, 128U, 256U, 272U, 0x7fffffffU, 0xffffffffU}) {
      EXPECT_TRUE(refused_with(slot, 0, size, 4)) << slot << ": " << size;
    }
    for (const std::uint64_t count : {0U, 3U, 0x80000000U, 0xffffffffU}) {
      EXPECT_TRUE(refused_with(slot, wrap_count_at, count, 4)) << slot << ": " << count;
    }
    EXPECT_TRUE(refused_with(slot, public_part_bytes_at, 4097, 2)) << slot;
    EXPECT_TRUE(refused_with(slot, public_part_bytes_at, 0xffff, 2)) << slot;
  }
}

TEST(KeySlotTest, WhatIsCutOffAnywhereIsRefused) {
  const HeaderContent whole = slots_content(all_kinds());
  for (std::size_t size = 0; size < whole.entries.size(); ++size) {
    HeaderContent content = whole;
    content.entries.resize(size);
    ASSERT_TRUE(refused(content)) << size;
  }
  HeaderContent content = whole;
  content.entries.resize(whole.entries.size() + 8);
  EXPECT_TRUE(refused(content));
  content = whole;
  content.entry_count = 3;
  EXPECT_TRUE(refused(content));
  content.entry_count = 0xffffffff;
  EXPECT_TRUE(refused(content));
}

TEST(KeySlotTest, NumbersAndKindsThatCannotBeAreRefused) {
  EXPECT_TRUE(refused_with(0, 4, 16, 1));
  EXPECT_TRUE(refused_with(0, 5, 0, 1));
  EXPECT_TRUE(refused_with(0, 5, 5, 1));
  EXPECT_TRUE(refused_with(3, 5, 1, 1)); // With a public part.
  EXPECT_TRUE(refused_with(0, label_at + 1, 0, 1));
  EXPECT_TRUE(refused_with(0, label_at + 1, 0x1b, 1));
  EXPECT_TRUE(refused_with(0, label_at + 63, 'x', 1));
  EXPECT_TRUE(refused_with(0, first_wrap_at + 16, 1, 1)); // An ephemeral key.
  EXPECT_TRUE(refused_with(3, 4359, 1, 1));               // Behind the public part.
}

TEST(KeySlotTest, CostsThatCannotBeAreRefused) {
  EXPECT_TRUE(refused_with(1, passes_at, 0, 4));
  EXPECT_TRUE(refused_with(1, passes_at, 65, 4));
  EXPECT_TRUE(refused_with(1, memory_at, 7, 4));
  EXPECT_TRUE(refused_with(1, memory_at, 4194305, 4));
  EXPECT_TRUE(refused_with(1, lanes_at, 0, 4));
  EXPECT_TRUE(refused_with(1, lanes_at, 2, 4));
  for (const std::size_t place : {passes_at, memory_at, lanes_at}) {
    EXPECT_TRUE(refused_with(0, place, 1, 4));
  }
}

TEST(KeySlotTest, SlotsOutOfOrderOrTwiceAreRefused) {
  KeySlots slots = all_kinds();
  std::swap(slots[0], slots[1]);
  EXPECT_TRUE(refused(slots_content(slots)));
  EXPECT_TRUE(refused(slots_content({all_kinds()[0], all_kinds()[0]})));
  slots = all_kinds();
  slots[2].wraps[1].key_id = slots[2].wraps[0].key_id;
  EXPECT_TRUE(refused(slots_content(slots)));
}

TEST(KeySlotTest, MoreThanThereIsRoomForIsRefused) {
  KeySlots slots;
  for (std::uint8_t number = 0; number < 4; ++number) {
    slots.push_back(all_kinds()[3]);
    slots.back().number = number;
  }
  EXPECT_KIND(compose_key_slots(slots), no_space);
  slots.pop_back();
  EXPECT_OK(compose_key_slots(slots));
}

TEST(KeySlotTest, AWrapIsBoundToWhatTheSlotSays) {
  const KeySlot slot = all_kinds()[1];
  std::array<std::byte, 16> uuid{};
  const auto data = wrap_associated_data(uuid, slot, slot.wraps[0].key_id);
  EXPECT_EQ(data.size(), 16U + 120U + 16U);
  const auto differs = [&](auto change) {
    KeySlot changed = slot;
    change(changed);
    return wrap_associated_data(uuid, changed, slot.wraps[0].key_id) != data;
  };
  EXPECT_TRUE(differs([](KeySlot& s) { s.number = 4; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.kind = KeySlotKind::key; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.created_seconds += 1; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.label = "x"; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.salt[31] = std::byte{1}; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.cost.passes = 1; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.cost.memory_kib = 8; }));
  EXPECT_TRUE(differs([](KeySlot& s) { s.public_part.resize(1); }));
  // And not to the other wrap, which comes and goes.
  EXPECT_FALSE(differs([](KeySlot& s) { s.wraps.push_back(wrap_with(2)); }));
  EXPECT_NE(wrap_associated_data(uuid, slot, wrap_with(2).key_id), data);
  uuid[0] = std::byte{1};
  EXPECT_NE(wrap_associated_data(uuid, slot, slot.wraps[0].key_id), data);
}

TEST(KeySlotTest, ItsVoucherIsBoundToTheWholeWrap) {
  const KeySlot slot = all_kinds()[0];
  const std::array<std::byte, 16> uuid{};
  const auto data = voucher_associated_data(uuid, slot, slot.wraps[0]);
  EXPECT_EQ(data.size(), 16U + 120U + 16U + 120U);
  const auto differs = [&](auto change) {
    KeyWrap changed = slot.wraps[0];
    change(changed);
    return voucher_associated_data(uuid, slot, changed) != data;
  };
  EXPECT_TRUE(differs([](KeyWrap& w) { w.key_id[0] = std::byte{99}; }));
  EXPECT_TRUE(differs([](KeyWrap& w) { w.ephemeral[0] = std::byte{99}; }));
  EXPECT_TRUE(differs([](KeyWrap& w) { w.nonce[0] = std::byte{99}; }));
  EXPECT_TRUE(differs([](KeyWrap& w) { w.sealed_key[0] = std::byte{99}; }));
  EXPECT_TRUE(differs([](KeyWrap& w) { w.tag[0] = std::byte{99}; }));
  EXPECT_FALSE(differs([](KeyWrap& w) { w.voucher[0] = std::byte{99}; }));
}

TEST(KeySlotTest, Labels) {
  EXPECT_OK(check_key_label(""));
  EXPECT_OK(check_key_label(std::string(63, '~')));
  EXPECT_KIND(check_key_label(std::string(64, '~')), invalid_argument);
  EXPECT_KIND(check_key_label("a\nb"), invalid_argument);
  EXPECT_KIND(check_key_label("\xc3\xa4"), invalid_argument);
}

} // namespace
} // namespace vnvram::format
