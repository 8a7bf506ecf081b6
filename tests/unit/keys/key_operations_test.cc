// What the public header offers on key slots: on a device, under its lock.
#include <algorithm>

#include <gtest/gtest.h>

#include "keys/key_eraser.h"
#include "keys/key_slots.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/simulated_device.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

class KeyOperationsTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_OK(write_first_key_slots(it_.device, it_.image, it_.data_key,
                                    std::vector{new_slot(key_a_, "a")}));
  }

  KeyFiles files_;
  EncryptedImage it_;
  std::string key_a_ = files_.file("the key of a: 16 bytes or more");
  std::string key_b_ = files_.file("the key of b: 16 bytes or more");
  std::vector<KeySource> with_a_{source(key_a_)};
  std::vector<KeySource> with_b_{source(key_b_)};
};

TEST_F(KeyOperationsTest, SlotsAreAddedListedTestedChangedAndRemoved) {
  const auto added = add_key_slot(it_.device, with_a_, new_slot(files_.public_key(), "escrow"));
  ASSERT_OK(added);
  EXPECT_EQ(added->number, 1U);
  EXPECT_EQ(added->kind, KeySlotKind::public_key);
  EXPECT_EQ(added->public_key.size(), 32U);
  EXPECT_TRUE(added->current);

  const auto list = list_key_slots(it_.device);
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 2U);
  EXPECT_EQ(list->front().label, "a");
  EXPECT_TRUE(list->front().public_key.empty());
  EXPECT_EQ(list->back().label, "escrow");

  const auto fits = test_key(it_.device, std::vector{source(files_.private_key())});
  ASSERT_OK(fits);
  EXPECT_EQ(fits->number, 1U);
  EXPECT_KIND(test_key(it_.device, with_b_), wrong_key);
  EXPECT_KIND(test_key(it_.device, {}), key_needed);

  ASSERT_OK(change_key_slot(it_.device, with_a_, 0, new_slot(key_b_)));
  EXPECT_KIND(test_key(it_.device, with_a_), wrong_key);
  ASSERT_OK(remove_key_slot(it_.device, 1));
  EXPECT_KIND(remove_key_slot(it_.device, 0), invalid_argument);
  EXPECT_OK(test_key(it_.device, with_b_));
  ASSERT_OK(remove_key_slot(it_.device, 0, true));
  EXPECT_KIND(test_key(it_.device, with_b_), wrong_key);
}

TEST_F(KeyOperationsTest, AWrongKeyAddsNobody) {
  const Bytes before = it_.disk->bytes();
  EXPECT_KIND(add_key_slot(it_.device, with_b_, new_slot(key_b_)), wrong_key);
  EXPECT_KIND(add_key_slot(it_.device, {}, new_slot(key_b_)), key_needed);
  EXPECT_KIND(change_key_slot(it_.device, with_b_, 0, new_slot(key_b_)), wrong_key);
  EXPECT_EQ(it_.disk->bytes(), before);
}

TEST_F(KeyOperationsTest, NothingIsChangedBesideAnOwner) {
  const Bytes before = it_.disk->bytes();
  MemoryDevice owner(it_.disk);
  ASSERT_OK(owner.lock_for_writing());
  EXPECT_KIND(add_key_slot(it_.device, with_a_, new_slot(key_b_)), in_use);
  EXPECT_KIND(change_key_slot(it_.device, with_a_, 0, new_slot(key_b_)), in_use);
  EXPECT_KIND(remove_key_slot(it_.device, 0, true), in_use);
  EXPECT_KIND(erase_keys(it_.device), in_use);
  EXPECT_OK(test_key(it_.device, with_a_));
  EXPECT_OK(list_key_slots(it_.device));
  EXPECT_EQ(it_.disk->bytes(), before);
  owner.unlock();
  EXPECT_OK(add_key_slot(it_.device, with_a_, new_slot(key_b_)));
  EXPECT_OK(owner.lock_for_writing()); // It was given back.
}

TEST_F(KeyOperationsTest, ADeviceThatIsReadOnly) {
  MemoryDevice device(it_.disk, Access::read_only);
  EXPECT_OK(test_key(device, with_a_));
  EXPECT_KIND(add_key_slot(device, with_a_, new_slot(key_b_)), read_only);
  EXPECT_KIND(remove_key_slot(device, 0), read_only);
  EXPECT_KIND(erase_keys(device), read_only);
}

TEST_F(KeyOperationsTest, WhatIsNoEncryptedImage) {
  MemoryDevice blank(std::make_shared<MemoryDisk>(std::uint64_t{1} << 20U));
  EXPECT_KIND(list_key_slots(blank), blank);
  EXPECT_KIND(erase_keys(blank), blank);
  MemoryDevice foreign(std::make_shared<MemoryDisk>(Bytes(1U << 20U, std::byte{0x55})));
  EXPECT_KIND(list_key_slots(foreign), foreign);
  EXPECT_KIND(erase_keys(foreign), foreign);
  Bytes labelled(1U << 20U); // A partition's label at its end, or a file of a few bytes.
  labelled[labelled.size() - 1] = std::byte{1};
  MemoryDevice with_label(std::make_shared<MemoryDisk>(labelled));
  EXPECT_KIND(list_key_slots(with_label), foreign);
  MemoryDevice note(std::make_shared<MemoryDisk>(Bytes(100)));
  EXPECT_KIND(list_key_slots(note), foreign);
  MemoryDevice plain(std::make_shared<MemoryDisk>(image_bytes(it_.image, false)));
  EXPECT_KIND(list_key_slots(plain), invalid_argument);
  EXPECT_KIND(add_key_slot(plain, with_a_, new_slot(key_b_)), invalid_argument);
  EXPECT_KIND(erase_keys(plain), invalid_argument);
}

TEST_F(KeyOperationsTest, ASuperblockIsEnough) {
  it_.disk->bytes()[block_size_bytes] ^= std::byte{1};
  EXPECT_OK(test_key(it_.device, with_a_));
  it_.disk->bytes()[0] ^= std::byte{1};
  it_.disk->bytes()[100] ^= std::byte{1};
  EXPECT_FALSE(test_key(it_.device, with_a_).ok());
}

TEST_F(KeyOperationsTest, ErasedIsErased) {
  ASSERT_OK(erase_keys(it_.device));
  const auto begin = it_.disk->bytes().begin() + (2 * block_size_bytes);
  EXPECT_TRUE(std::all_of(begin, begin + (8 * block_size_bytes),
                          [](std::byte each) { return each == std::byte{0}; }));
  const auto found = test_key(it_.device, with_a_);
  EXPECT_KIND(found, wrong_key);
  EXPECT_NE(found.error().cause().find("erased"), std::string::npos);
  const auto list = list_key_slots(it_.device);
  ASSERT_OK(list);
  EXPECT_TRUE(list->empty());
  EXPECT_OK(erase_keys(it_.device)); // Once more does no harm.
}

TEST_F(KeyOperationsTest, TheKeysOfADamagedImageAreErasedAsWell) {
  it_.disk->bytes()[100] ^= std::byte{1};
  it_.disk->bytes()[block_size_bytes + 100] ^= std::byte{1};
  it_.disk->bytes()[(2 * block_size_bytes) + 100] ^= std::byte{1}; // One copy, too.
  EXPECT_FALSE(list_key_slots(it_.device).ok());
  ASSERT_OK(erase_keys(it_.device));
  EXPECT_FALSE(*has_key_slots(it_.device));
}

// Wherever it is cut: once the random bytes are durable nobody opens it, and it can be done again.
TEST_F(KeyOperationsTest, AnErasureIsOverwrittenTwiceAndCanBeCut) {
  const auto disk = std::make_shared<SimulatedDisk>(it_.disk->bytes());
  const Bytes before = it_.disk->bytes();
  int flushes = 0;
  std::vector<Bytes> between;
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::write) {
      between.push_back(CrashState(*disk, &operation).power_cut({.number = 5}, 1));
    }
    flushes += operation.kind == OperationKind::flush ? 1 : 0;
    if (operation.kind == OperationKind::flush && flushes == 2) {
      // The random bytes are on the medium, and nothing of the slots is.
      const Bytes durable = disk->durable();
      for (std::size_t at = 2 * block_size_bytes; at < 10 * block_size_bytes; at += 128) {
        const auto place = static_cast<std::ptrdiff_t>(at);
        EXPECT_FALSE(std::equal(durable.begin() + place, durable.begin() + place + 128,
                                before.begin() + place));
        EXPECT_NE(Bytes(durable.begin() + place, durable.begin() + place + 128), Bytes(128));
      }
    }
  });
  SimulatedDevice device(disk);
  ASSERT_OK(erase_keys(device));
  EXPECT_EQ(flushes, 2);
  EXPECT_EQ(between.size(), 2U);
  for (const Bytes& cut : between) {
    MemoryDevice again(std::make_shared<MemoryDisk>(cut));
    ASSERT_OK(erase_keys(again));
    EXPECT_KIND(test_key(again, with_a_), wrong_key);
  }
}

TEST_F(KeyOperationsTest, ADeviceThatKeepsWhatWasOverwrittenIsNotSaidToBeErased) {
  const auto disk = std::make_shared<SimulatedDisk>(it_.disk->bytes());
  const Bytes before = it_.disk->bytes();
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read && disk->count(OperationKind::flush) == 2) {
      disk->replace(before);
    }
  });
  SimulatedDevice device(disk);
  EXPECT_KIND(erase_keys(device), io);
}

} // namespace
} // namespace vnvram::test
