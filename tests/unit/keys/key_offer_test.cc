// Key slots that are offered by who has the secret, and made by who has the data key.
#include "vnvram/key_offer.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "keys/key_offer_state.h"
#include "keys/key_slots.h"
#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

class KeyOfferTest : public ::testing::Test {
protected:
  KeySlotOffer offer(const NewKeySlot& slot) {
    auto made = offer_key_slot(slot, "image", receiver_.public_key());
    EXPECT_TRUE(made.ok()) << made.error().text();
    return made ? *std::move(made) : KeySlotOffer();
  }
  /// With these words: for something else it would be refused as well, as the seal is broken.
  void expect_refused(const KeySlotOffer& good, const std::string& reason,
                      const std::function<void(KeySlotOffer& offer)>& change) {
    KeySlotOffer bad = good;
    change(bad);
    const auto plan = plan_of_offer(bad, receiver_);
    ASSERT_FALSE(plan.ok());
    EXPECT_KIND(plan, invalid_argument);
    EXPECT_NE(plan.error().cause().find(reason), std::string::npos) << plan.error().cause();
  }

  KeyFiles files_;
  EncryptedImage it_;
  KeyOfferReceiver receiver_ = KeyOfferReceiver::make().value();
  std::string key_ = files_.file("the key of a: 16 bytes or more");
  std::string phrase_ = "passphrase:" + files_.file("open sesame\n");
  std::string private_ = files_.private_key();
  std::string command_ = "exec:printf 'made of 16 bytes: '; cat";
  NewKeySlot external_ =
      new_slot(command_ + ",public=" + files_.file("public part").substr(5), "service");
};

TEST_F(KeyOfferTest, ASlotThatIsMadeOfOneIsOpenedByItsHolder) {
  const std::vector<NewKeySlot> holders{new_slot(key_, "host"), new_slot(phrase_, "operator"),
                                        new_slot(files_.public_key(), "escrow"), external_};
  const std::vector<std::string> keys{key_, phrase_, private_, command_};
  for (std::size_t place = 0; place < holders.size(); ++place) {
    const KeySlotOffer it = offer(holders[place]);
    const auto added =
        add_slot(it_.device, it_.image, it_.data_key, [&] { return plan_of_offer(it, receiver_); });
    ASSERT_OK(added);
    EXPECT_EQ(added->label, holders[place].label);
    const auto found = find_data_key(it_.device, it_.image, std::vector{source(keys[place])});
    ASSERT_OK(found);
    EXPECT_EQ(found->get(), it_.data_key);
  }
}

TEST_F(KeyOfferTest, WhatIsSecretIsSealedForTheReceiverOnly) {
  const KeySlotOffer it = offer(new_slot(key_));
  const auto plan = plan_of_offer(it, receiver_);
  ASSERT_OK(plan);
  const auto& key = plan->key.get();
  EXPECT_EQ(std::search(it.sealed_key.begin(), it.sealed_key.end(), key.begin(), key.end()),
            it.sealed_key.end());
  EXPECT_KIND(plan_of_offer(it, KeyOfferReceiver::make().value()), invalid_argument);
  EXPECT_NE(it.sealed_key, offer(new_slot(key_)).sealed_key);
}

TEST_F(KeyOfferTest, OffersThatNoSlotIsMadeOf) {
  const KeySlotOffer key = offer(new_slot(key_, "host"));
  const KeySlotOffer phrase = offer(new_slot(phrase_));
  const KeySlotOffer shown = offer(new_slot(files_.public_key()));
  const KeySlotOffer external = offer(external_);
  for (const unsigned kind : {0U, 5U, 255U}) {
    expect_refused(key, "its kind", [kind](auto& it) { it.kind = static_cast<KeySlotKind>(kind); });
  }
  for (const auto& [kind, reason] : {std::pair{KeySlotKind::passphrase, "passphrase's cost"},
                                     std::pair{KeySlotKind::public_key, "what is sealed in it"},
                                     std::pair{KeySlotKind::external, "sealed for another"}}) {
    expect_refused(key, reason, [kind = kind](auto& it) { it.kind = kind; });
  }
  for (const std::string& label : {std::string("line\nbreak"), std::string(64, 'x'),
                                   std::string("a\0b", 3), std::string("\xc3\xa4")}) {
    expect_refused(shown, "label", [&](auto& it) { it.label = label; });
  }
  for (const std::uint32_t passes : {0U, 65U, ~0U}) {
    expect_refused(phrase, "passphrase's cost", [passes](auto& it) { it.passes = passes; });
  }
  for (const std::uint32_t memory_kib : {0U, 7U, 4194305U, ~0U}) {
    expect_refused(phrase, "passphrase's cost",
                   [memory_kib](auto& it) { it.memory_kib = memory_kib; });
  }
  for (const KeySlotOffer& other : {key, shown, external}) {
    expect_refused(other, "passphrase's cost", [](auto& it) { it.passes = 1; });
    expect_refused(other, "passphrase's cost", [](auto& it) { it.memory_kib = 8; });
  }
  expect_refused(external, "public part", [](auto& it) { it.public_part.resize(4097); });
  expect_refused(external, "public part", [](auto& it) { it.public_part.resize(70000); });
  for (const KeySlotOffer& other : {key, phrase, shown}) {
    expect_refused(other, "public part", [](auto& it) { it.public_part.resize(1); });
  }
  expect_refused(shown, "what is sealed in it", [](auto& it) { it.sealed_key.resize(104); });
  expect_refused(shown, "public key that is none", [](auto& it) { it.salt = {}; });
  expect_refused(shown, "public key that is none", [](auto& it) { it.salt = {std::byte{1}}; });
  for (const std::size_t size : {0U, 1U, 103U, 105U, 70000U}) {
    expect_refused(key, "length of what is sealed",
                   [size](auto& it) { it.sealed_key.resize(size); });
  }
}

TEST_F(KeyOfferTest, WhatAnOfferSaysIsBoundToTheKeyInIt) {
  const KeySlotOffer it = offer(external_);
  expect_refused(it, "sealed for another", [](auto& other) { other.label = "mine"; });
  expect_refused(it, "sealed for another", [](auto& other) { other.salt[31] ^= std::byte{1}; });
  expect_refused(it, "sealed for another",
                 [](auto& other) { other.public_part[0] ^= std::byte{1}; });
  for (std::size_t place = 0; place < it.sealed_key.size(); ++place) {
    expect_refused(it, "sealed for another",
                   [place](auto& other) { other.sealed_key[place] ^= std::byte{1}; });
  }
  expect_refused(it, "sealed for another",
                 [](auto& other) { other.sealed_key[31] ^= std::byte{0x80}; });
  expect_refused(it, "public key that is none",
                 [](auto& other) { std::fill_n(other.sealed_key.begin(), 32, std::byte{0}); });
}

} // namespace
} // namespace vnvram::test
