// Key slots while the data key is exchanged: they open the image before, between and after.
#include "keys/key_rotation.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "crypto/key_agreement.h"
#include "keys/data_key.h"
#include "keys/key_slots.h"
#include "keys/slot_wrap.h"
#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

using format::KeySlot;
using format::KeySlots;

class KeyRotationTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_OK(
        write_first_key_slots(it_.device, it_.image, it_.data_key,
                              std::vector{new_slot(key_, "host"), new_slot(phrase_, "operator"),
                                          new_slot(files_.public_key(), "escrow")}));
    new_image_.uuid = it_.image.uuid;
    new_image_.key_id = *key_id_of(it_.image.uuid, new_key_);
  }
  Result<KeySlots> rotate(const std::vector<std::string>& keys,
                          KeylessSlots keyless = KeylessSlots::refuse) {
    std::vector<KeySource> sources;
    std::ranges::transform(keys, std::back_inserter(sources), source);
    return wrap_new_data_key(it_.device, it_.image, it_.data_key, new_key_, sources, keyless);
  }
  Result<SecretBytes> find(const KeyedImage& image, const std::string& key) {
    return find_data_key(it_.device, image, std::vector{source(key)});
  }
  void expect_opens(const KeyedImage& image, const std::string& key, const Bytes& data_key) {
    const auto found = find(image, key);
    ASSERT_OK(found);
    EXPECT_EQ(found->get(), data_key);
  }
  KeySlots slots() { return *read_key_slots(it_.device, it_.image.uuid); }

  KeyFiles files_;
  EncryptedImage it_;
  Bytes new_key_ = Bytes(32, std::byte{0x43});
  KeyedImage new_image_;
  std::string key_ = files_.file("the key of the host: 16 bytes or more");
  std::string phrase_ = "passphrase:" + files_.file("open sesame\n");
  std::string private_ = files_.private_key();
};

TEST_F(KeyRotationTest, AllHoldersOpenBothAndThenTheNewOneOnly) {
  const auto left_out = rotate({key_, phrase_});
  ASSERT_OK(left_out);
  EXPECT_TRUE(left_out->empty());
  for (const std::string& key : {key_, phrase_, private_}) {
    expect_opens(it_.image, key, it_.data_key);
    expect_opens(new_image_, key, new_key_);
  }
  ASSERT_OK(drop_other_wraps(it_.device, new_image_));
  for (const std::string& key : {key_, phrase_, private_}) {
    EXPECT_KIND(find(it_.image, key), wrong_key);
    expect_opens(new_image_, key, new_key_);
  }
}

TEST_F(KeyRotationTest, OneThatIsGivenUpLeavesTheOldOne) {
  ASSERT_OK(rotate({key_, phrase_}));
  ASSERT_OK(drop_other_wraps(it_.device, it_.image));
  expect_opens(it_.image, phrase_, it_.data_key);
  EXPECT_KIND(find(new_image_, phrase_), wrong_key);
  // And it can be begun again, also with what is left of the first time.
  ASSERT_OK(rotate({key_, phrase_}));
  ASSERT_OK(rotate({key_, phrase_}));
  expect_opens(new_image_, key_, new_key_);
  EXPECT_EQ(slots()[0].wraps.size(), 2U);
}

// Each try dies before anything is dropped, and the next one has a data key of its own.
TEST_F(KeyRotationTest, HoweverOftenItIsCutASlotHasTwoWraps) {
  for (unsigned attempt = 0; attempt < 4; ++attempt) {
    new_key_ = Bytes(32, static_cast<std::byte>(0x50 + attempt));
    new_image_.key_id = *key_id_of(it_.image.uuid, new_key_);
    ASSERT_OK(rotate({key_, phrase_}));
    for (const KeySlot& slot : slots()) {
      EXPECT_EQ(slot.wraps.size(), 2U) << attempt;
    }
    for (const std::string& key : {key_, phrase_, private_}) {
      expect_opens(it_.image, key, it_.data_key);
      expect_opens(new_image_, key, new_key_);
    }
  }
}

TEST_F(KeyRotationTest, WithoutAHoldersKeyItIsRefusedOrSaid) {
  const KeySlots before = slots();
  const auto refused = rotate({key_});
  EXPECT_KIND(refused, key_needed);
  EXPECT_NE(refused.error().cause().find("slot 1: passphrase \"operator\""), std::string::npos);
  EXPECT_EQ(refused.error().cause().find("slot 0"), std::string::npos);
  EXPECT_EQ(slots(), before);
  const auto left_out = rotate({key_}, KeylessSlots::leave_out);
  ASSERT_OK(left_out);
  ASSERT_EQ(left_out->size(), 1U);
  EXPECT_EQ(left_out->front().label, "operator");
  expect_opens(it_.image, phrase_, it_.data_key);
  EXPECT_KIND(find(new_image_, phrase_), wrong_key);
  ASSERT_OK(drop_other_wraps(it_.device, new_image_));
  EXPECT_EQ(slots().size(), 2U);
  expect_opens(new_image_, private_, new_key_);
}

TEST_F(KeyRotationTest, WithNobodyLeftItIsRefused) {
  ASSERT_OK(remove_slot(it_.device, it_.image, 2, false)); // The public key.
  EXPECT_KIND(rotate({}, KeylessSlots::leave_out), key_needed);
}

TEST_F(KeyRotationTest, WhatIsDroppedIsNotTheLastThatOpens) {
  EXPECT_KIND(drop_other_wraps(it_.device, new_image_), corrupt);
  EXPECT_EQ(slots().size(), 3U);
}

TEST_F(KeyRotationTest, WithNothingToDropNothingIsWritten) {
  const Bytes before = it_.disk->bytes();
  ASSERT_OK(drop_other_wraps(it_.device, it_.image));
  EXPECT_EQ(it_.disk->bytes(), before);
}

// Somebody who can write to the device adds his public key, and waits for the new data key.
TEST_F(KeyRotationTest, APublicKeyThatNobodyAddedGetsNothing) {
  const Bytes attackers_key(32, std::byte{0x99});
  KeySlots forged = slots();
  KeySlot slot = forged[2];
  slot.number = 9;
  slot.salt = *agreement_public_key(attackers_key);
  forged.push_back(slot);
  ASSERT_OK(write_key_slots(it_.device, it_.image.uuid, forged));
  EXPECT_KIND(rotate({key_, phrase_}), corrupt);
  EXPECT_KIND(rotate({key_, phrase_}, KeylessSlots::leave_out), corrupt);
  EXPECT_EQ(slots(), forged);
  // Or puts it into the place of one that is there.
  forged.pop_back();
  forged[2].salt = slot.salt;
  ASSERT_OK(write_key_slots(it_.device, it_.image.uuid, forged));
  EXPECT_KIND(rotate({key_, phrase_}), corrupt);
}

// As weak as he wants it.
TEST_F(KeyRotationTest, APassphrasesCostIsTheOneThatItWasMadeWith) {
  KeySlots forged = slots();
  forged[1].cost.memory_kib = 9;
  ASSERT_OK(write_key_slots(it_.device, it_.image.uuid, forged));
  EXPECT_KIND(rotate({key_, phrase_}, KeylessSlots::leave_out), corrupt);
}

} // namespace
} // namespace vnvram::test
