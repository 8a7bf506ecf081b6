// The key slots of an image: who opens it, who does not, and what is said then.
#include "keys/key_slots.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "format/key_slot.h"
#include "keys/header_area.h"
#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

using format::KeySlot;
using format::KeySlots;

class KeySlotsTest : public ::testing::Test {
protected:
  void make(const std::vector<NewKeySlot>& slots) {
    ASSERT_OK(write_first_key_slots(it_.device, it_.image, it_.data_key, slots));
  }
  Result<SecretBytes> find(const std::vector<std::string>& keys) {
    std::vector<KeySource> sources;
    std::ranges::transform(keys, std::back_inserter(sources), source);
    return find_data_key(it_.device, it_.image, sources);
  }
  void expect_opened_by(const std::vector<std::string>& keys) {
    const auto data_key = find(keys);
    ASSERT_OK(data_key);
    EXPECT_EQ(data_key->get(), it_.data_key);
  }
  KeySlots slots() {
    auto read = read_key_slots(it_.device, it_.image.uuid);
    EXPECT_TRUE(read.ok());
    return read ? *std::move(read) : KeySlots{};
  }
  void rewrite(const KeySlots& slots) {
    ASSERT_OK(write_key_slots(it_.device, it_.image.uuid, slots));
  }

  KeyFiles files_;
  EncryptedImage it_;
  std::string key_a_ = files_.file("the key of a: 16 bytes or more");
  std::string key_b_ = files_.file("the key of b: 16 bytes or more");
  std::string phrase_ = "passphrase:" + files_.file("open sesame\n");
  std::string private_ = files_.private_key();
  std::string command_ = "exec:printf 'made of 16 bytes: '; cat";
};

TEST_F(KeySlotsTest, EveryKindOfHolderOpensTheImage) {
  const std::string part = files_.file("public part").substr(5);
  make({new_slot(key_a_, "host"), new_slot(phrase_, "operator"),
        new_slot(files_.public_key(), "escrow"),
        new_slot(command_ + ",public=" + part, "service")});
  for (const std::string& key : {key_a_, phrase_, private_, command_}) {
    expect_opened_by({key});
  }
  expect_opened_by({key_b_, command_});
  const KeySlots made = slots();
  ASSERT_EQ(made.size(), 4U);
  EXPECT_EQ(made[1].number, 1U);
  EXPECT_EQ(made[1].label, "operator");
  EXPECT_EQ(made[1].cost, (HashCost{.passes = 1, .memory_kib = 8}));
  EXPECT_GT(made[1].created_seconds, 1700000000U);
  EXPECT_EQ(made[3].public_part, bytes_of("public part"));
}

TEST_F(KeySlotsTest, WithoutAKeyTheSlotsAreNamed) {
  make({new_slot(key_a_, "host"), new_slot(phrase_)});
  const auto nothing = find({});
  EXPECT_KIND(nothing, key_needed);
  EXPECT_NE(nothing.error().cause().find("slot 0: key \"host\", slot 1: passphrase"),
            std::string::npos)
      << nothing.error().cause();
  const auto wrong = find({key_b_});
  EXPECT_KIND(wrong, wrong_key);
  EXPECT_NE(wrong.error().cause().find("slot 0: key \"host\", slot 1: passphrase"),
            std::string::npos)
      << wrong.error().cause();
  EXPECT_KIND(find({"passphrase:" + key_a_}), wrong_key);
  EXPECT_KIND(find({private_}), wrong_key);
  EXPECT_KIND(find({files_.public_key()}), wrong_key);
  EXPECT_KIND(find({command_}), wrong_key);
}

TEST_F(KeySlotsTest, AKeyThatCannotBeReadKeepsNobodyOut) {
  make({new_slot(key_a_)});
  const std::string missing = "file:" + files_.path("missing");
  expect_opened_by({missing, key_a_});
  EXPECT_KIND(find({missing}), io);
  EXPECT_KIND(find({key_b_, missing}), io);
}

TEST_F(KeySlotsTest, WithoutSlotsNothingOpensIt) {
  const auto found = find({key_a_});
  EXPECT_KIND(found, wrong_key);
  EXPECT_NE(found.error().cause().find("erased"), std::string::npos);
  EXPECT_KIND(find({}), wrong_key);
}

TEST_F(KeySlotsTest, FirstSlotsThatCannotBe) {
  const auto write = [&](const std::vector<NewKeySlot>& slots) {
    return write_first_key_slots(it_.device, it_.image, it_.data_key, slots);
  };
  EXPECT_KIND(write({}), invalid_argument);
  EXPECT_KIND(write(std::vector<NewKeySlot>(17, new_slot(key_a_))), no_space);
  EXPECT_KIND(write({new_slot(key_a_, "line\nbreak")}), invalid_argument);
  EXPECT_KIND(write({new_slot(private_)}), invalid_argument);
  EXPECT_TRUE(slots().empty());
  EXPECT_OK(write(std::vector<NewKeySlot>(16, new_slot(key_a_))));
}

TEST_F(KeySlotsTest, SlotsComeAndGoOneByOne) {
  make({new_slot(key_a_, "a"), new_slot(phrase_, "p")});
  ASSERT_OK(remove_slot(it_.device, it_.image, 0, false));
  EXPECT_KIND(find({key_a_}), wrong_key);
  expect_opened_by({phrase_});
  const auto added = add_slot(it_.device, it_.image, it_.data_key, new_slot(key_b_, "b"));
  ASSERT_OK(added);
  EXPECT_EQ(added->number, 0U);
  expect_opened_by({key_b_});
  EXPECT_KIND(remove_slot(it_.device, it_.image, 5, false), not_found);
}

TEST_F(KeySlotsTest, WhatWasTakenAwayIsOnTheDeviceNoMore) {
  make({new_slot(key_a_, "goes away"), new_slot(phrase_, "stays")});
  const auto wrap = slots()[0].wraps[0].sealed_key;
  const auto is_there = [&] {
    const auto& bytes = it_.disk->bytes();
    return std::search(bytes.begin(), bytes.end(), wrap.begin(), wrap.end()) != bytes.end();
  };
  EXPECT_TRUE(is_there());
  ASSERT_OK(remove_slot(it_.device, it_.image, 0, false));
  EXPECT_FALSE(is_there());
}

TEST_F(KeySlotsTest, TheLastOneStaysUnlessSomebodySaysSo) {
  make({new_slot(key_a_)});
  EXPECT_KIND(remove_slot(it_.device, it_.image, 0, false), invalid_argument);
  expect_opened_by({key_a_});
  ASSERT_OK(remove_slot(it_.device, it_.image, 0, true));
  EXPECT_KIND(find({key_a_}), wrong_key);
}

TEST_F(KeySlotsTest, OneThatOpensNothingDoesNotCount) {
  make({new_slot(key_a_), new_slot(key_b_)});
  KeySlots changed = slots();
  changed[1].wraps[0].key_id[0] ^= std::byte{1};
  rewrite(changed);
  EXPECT_KIND(find({key_b_}), wrong_key);
  EXPECT_KIND(remove_slot(it_.device, it_.image, 0, false), invalid_argument);
  EXPECT_OK(remove_slot(it_.device, it_.image, 1, false));
}

TEST_F(KeySlotsTest, AHolderIsExchangedInPlace) {
  make({new_slot(key_a_, "a"), new_slot(phrase_, "p")});
  const auto changed = change_slot(it_.device, it_.image, it_.data_key, 0, new_slot(key_b_));
  ASSERT_OK(changed);
  EXPECT_EQ(changed->label, "a");
  EXPECT_EQ(changed->number, 0U);
  EXPECT_KIND(find({key_a_}), wrong_key);
  expect_opened_by({key_b_});
  const auto other_kind =
      change_slot(it_.device, it_.image, it_.data_key, 0, new_slot(files_.public_key(), "escrow"));
  ASSERT_OK(other_kind);
  EXPECT_EQ(other_kind->label, "escrow");
  expect_opened_by({private_});
  EXPECT_EQ(slots().size(), 2U);
  EXPECT_KIND(change_slot(it_.device, it_.image, it_.data_key, 7, new_slot(key_b_)), not_found);
}

TEST_F(KeySlotsTest, SixteenAndNoMore) {
  make(std::vector<NewKeySlot>(16, new_slot(key_a_)));
  EXPECT_KIND(add_slot(it_.device, it_.image, it_.data_key, new_slot(key_b_)), no_space);
  ASSERT_OK(remove_slot(it_.device, it_.image, 9, false));
  const auto added = add_slot(it_.device, it_.image, it_.data_key, new_slot(key_b_));
  ASSERT_OK(added);
  EXPECT_EQ(added->number, 9U);
  expect_opened_by({key_b_});
}

// Each with what is sealed as it was, and a frame that is whole.
TEST_F(KeySlotsTest, WhatWasMovedOrRelabelledIsRefused) {
  make({new_slot(key_a_, "host"), new_slot(key_b_, "guest")});
  const KeySlots good = slots();
  const auto opens_with = [&](auto change) {
    KeySlots changed = good;
    change(changed);
    rewrite(changed);
    return find({key_a_}).ok();
  };
  EXPECT_TRUE(opens_with([](KeySlots&) {}));
  EXPECT_FALSE(opens_with([](KeySlots& s) { s[0].label = "Host"; }));
  EXPECT_FALSE(opens_with([](KeySlots& s) { std::swap(s[0].wraps, s[1].wraps); }));
  EXPECT_FALSE(opens_with([](KeySlots& s) {
    s.erase(s.begin() + 1);
    s[0].number = 1;
  }));
  EXPECT_FALSE(opens_with([](KeySlots& s) { s[0].created_seconds += 1; }));
  EXPECT_FALSE(opens_with([](KeySlots& s) { s[0].kind = KeySlotKind::external; }));
}

TEST_F(KeySlotsTest, SlotsOfAnotherImageAreNone) {
  make({new_slot(key_a_)});
  const KeySlots good = slots();
  KeyedImage other = it_.image;
  other.uuid[0] ^= std::byte{1};
  // As they are, they are not this image's.
  EXPECT_KIND(find_data_key(it_.device, other, std::vector{source(key_a_)}), corrupt);
  // And with a frame that is, they do not open it.
  MemoryDevice fresh(std::make_shared<MemoryDisk>(18 * block_size_bytes));
  ASSERT_OK(write_key_slots(fresh, other.uuid, good));
  EXPECT_KIND(find_data_key(fresh, other, std::vector{source(key_a_)}), wrong_key);
}

TEST_F(KeySlotsTest, SlotsThatCannotBeAreDamage) {
  make({new_slot(key_a_)});
  HeaderArea area(it_.device, format::HeaderPart::key_slots, it_.image.uuid);
  auto content = area.read();
  ASSERT_OK(content);
  content->entries[5] = std::byte{9}; // The kind.
  ASSERT_OK(area.write(*content));
  EXPECT_KIND(find({key_a_}), corrupt);
  EXPECT_KIND(add_slot(it_.device, it_.image, it_.data_key, new_slot(key_b_)), corrupt);
}

} // namespace
} // namespace vnvram::test
