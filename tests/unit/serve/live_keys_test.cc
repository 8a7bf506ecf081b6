// Holders of keys come and go while an owner has the image open.
#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "rpc/key_slot_wire.h"
#include "rpc/wire.h"
#include "unit/keys/key_fixture.h"
#include "unit/serve/served_image.h"
#include "unit/store/hooked_device.h"
#include "vnvram/key_offer.h"

namespace vnvram::test {
namespace {

class LiveKeysTest : public ServedImage {
protected:
  void SetUp() override {
    key_slots_ = {new_slot(host_, "host")};
    keys_.add(source(host_));
    // The owner is closed behind this class's own members.
    *hook_ = [trouble = trouble_](HookedDevice::Call call, std::uint64_t offset_bytes, auto) {
      const bool is_header =
          offset_bytes >= 2 * block_size_bytes && offset_bytes < 18 * block_size_bytes;
      const bool fails = call != HookedDevice::Call::read &&
                         (trouble->gone || (trouble->header_fails && is_header &&
                                            call == HookedDevice::Call::write_durable));
      const bool unreadable = trouble->unreadable && is_header && call == HookedDevice::Call::read;
      return fails || unreadable ? Status(Error(ErrorKind::io, "as a disk whose cable is pulled"))
                                 : Status();
    };
    serve({spec("a", 4096)});
    ASSERT_OK(put(*client(), "a", "what there is"));
  }
  std::unique_ptr<BlockDevice> opened(std::unique_ptr<BlockDevice> /*device*/) override {
    return std::make_unique<HookedDevice>(disk_, hook_);
  }

  /// Of a session's next receiver.
  static Result<KeySlotOffer> try_offer(OwnerClient& owner, const NewKeySlot& slot,
                                        std::optional<unsigned> number = std::nullopt) {
    const auto receiver = owner.receive_key_slot(number);
    return receiver ? offer_key_slot(slot, "image", *receiver) : receiver.error();
  }
  static KeySlotOffer offer(OwnerClient& owner, const NewKeySlot& slot) {
    auto made = try_offer(owner, slot);
    EXPECT_TRUE(made.ok()) << made.error().text();
    return made ? *std::move(made) : KeySlotOffer();
  }
  static Result<KeySlotInfo> add(OwnerClient& owner, const NewKeySlot& slot) {
    const auto made = try_offer(owner, slot);
    return made ? owner.add_key_slot(*made) : made.error();
  }
  static Result<KeySlotInfo> change(OwnerClient& owner, unsigned number, const NewKeySlot& slot) {
    const auto made = try_offer(owner, slot, number);
    return made ? owner.change_key_slot(number, *made) : made.error();
  }
  [[nodiscard]] Bytes header_area() const {
    return {disk_->bytes().begin() + 2 * block_size_bytes,
            disk_->bytes().begin() + 18 * block_size_bytes};
  }
  void end_owner() {
    server_.reset();
    keeper_.abandon();
  }
  /// With the owner gone.
  void expect_opens(const std::string& key) const {
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk_),
                                   {.background = false, .keys = KeyRing({source(key)})});
    ASSERT_OK(store);
    EXPECT_EQ((*store)->read("a").value(), bytes("what there is"));
    ASSERT_OK((*store)->close());
  }
  void expect_opens_beside(const std::string& key) const {
    MemoryDevice there(disk_, Access::read_only);
    EXPECT_OK(test_key(there, std::vector{source(key)}));
  }
  void expect_opens_not(const std::string& key) const {
    MemoryDevice there(disk_, Access::read_only);
    EXPECT_KIND(test_key(there, std::vector{source(key)}), wrong_key);
  }

  KeyFiles files_;
  std::string host_ = files_.file("the key of this host: 16 bytes or more");
  std::string other_ = files_.file("the key of another: 16 bytes or more");
  std::string phrase_ = "passphrase:" + files_.file("open sesame\n");
  std::string private_ = files_.private_key();
  std::string command_ = "exec:printf 'made of 16 bytes: '; cat";
  struct Trouble {
    std::atomic<bool> gone = false;         ///< All but reads fail.
    std::atomic<bool> header_fails = false; ///< Each durable write to it.
    std::atomic<bool> unreadable = false;   ///< All of it.
  };
  std::shared_ptr<Trouble> trouble_ = std::make_shared<Trouble>();
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

TEST_F(LiveKeysTest, HoldersOfEveryKindAreAddedAndOpenTheImage) {
  const std::string part = files_.file("public part").substr(5);
  const auto owner = operators();
  ASSERT_OK(add(*owner, new_slot(other_, "other")));
  ASSERT_OK(add(*owner, new_slot(phrase_, "operator")));
  ASSERT_OK(add(*owner, new_slot(files_.public_key(), "escrow")));
  const auto added = add(*owner, new_slot(command_ + ",public=" + part, "service"));
  ASSERT_OK(added);
  EXPECT_EQ(added->number, 4U);
  EXPECT_EQ(added->kind, KeySlotKind::external);
  EXPECT_EQ(added->public_part, bytes("public part"));
  const auto slots = owner->key_slots();
  ASSERT_OK(slots);
  ASSERT_EQ(slots->size(), 5U);
  EXPECT_EQ((*slots)[2].kind, KeySlotKind::passphrase);
  EXPECT_EQ((*slots)[2].label, "operator");
  EXPECT_EQ((*slots)[2].memory_kib, 8U);
  EXPECT_EQ((*slots)[3].public_key.size(), 32U);
  EXPECT_GT((*slots)[4].created_seconds, 1700000000U);
  EXPECT_TRUE(std::ranges::all_of(*slots, &KeySlotInfo::current));
  end_owner();
  for (const std::string& key : {host_, other_, phrase_, private_, command_}) {
    expect_opens(key);
  }
}

TEST_F(LiveKeysTest, ASlotIsExchangedAndKeepsNumberAndLabel) {
  const auto owner = operators();
  ASSERT_OK(add(*owner, new_slot(phrase_, "operator")));
  for (const unsigned number : {7U, 4000000000U}) {
    EXPECT_KIND(owner->change_key_slot(number, offer(*owner, new_slot(other_))), not_found);
  }
  const auto changed = change(*owner, 1, new_slot(other_));
  ASSERT_OK(changed);
  EXPECT_EQ(changed->number, 1U);
  EXPECT_EQ(changed->label, "operator");
  expect_opens_not(phrase_);
  const auto named = change(*owner, 1, new_slot(files_.public_key(), "escrow"));
  ASSERT_OK(named);
  EXPECT_EQ(named->label, "escrow");
  expect_opens_not(other_);
  end_owner();
  expect_opens(private_);
  expect_opens(host_);
}

TEST_F(LiveKeysTest, SlotsGoAndTheLastOneByWordOnly) {
  const auto owner = operators();
  EXPECT_KIND(owner->remove_key_slot(0, false), invalid_argument);
  EXPECT_KIND(owner->remove_key_slot(1, false), not_found);
  ASSERT_OK(add(*owner, new_slot(phrase_)));
  // The one that the image was opened by: its owner goes on, and makes slots.
  ASSERT_OK(owner->remove_key_slot(0, false));
  expect_opens_not(host_);
  EXPECT_KIND(owner->remove_key_slot(1, false), invalid_argument);
  const auto added = add(*owner, new_slot(other_));
  ASSERT_OK(added);
  EXPECT_EQ(added->number, 0U);
  ASSERT_OK(put(*client(), "a", "what there is"));
  ASSERT_OK(owner->remove_key_slot(1, false));
  end_owner();
  expect_opens(other_);
  expect_opens_not(phrase_);
}

TEST_F(LiveKeysTest, AfterTheLastOneNobodyOpensIt) {
  ASSERT_OK(operators()->remove_key_slot(0, true));
  const auto slots = operators()->key_slots();
  ASSERT_OK(slots);
  EXPECT_TRUE(slots->empty());
  ASSERT_OK(put(*client(), "a", "it goes on"));
  ASSERT_OK(add(*operators(), new_slot(other_))); // And is saved by who is quick.
  ASSERT_OK(put(*client(), "a", "what there is"));
  end_owner();
  expect_opens(other_);
}

TEST_F(LiveKeysTest, WhatNoClientOfOursOffersIsRefused) {
  const auto owner = operators();
  const Bytes before = header_area();
  const std::vector<std::function<void(KeySlotOffer&)>> faults{
      [](auto& it) { it.kind = KeySlotKind(0); },
      [](auto& it) { it.kind = KeySlotKind(9); },
      [](auto& it) { it.kind = KeySlotKind::external; },
      [](auto& it) { it.label = "line\nbreak"; },
      [](auto& it) { it.label = std::string(100000, 'x'); },
      [](auto& it) { it.label = "another"; },
      [](auto& it) { it.passes = 65; },
      [](auto& it) { it.memory_kib = 4194305; },
      [](auto& it) { it.memory_kib = 9; },
      [](auto& it) { it.salt[0] ^= std::byte{1}; },
      [](auto& it) { it.public_part.resize(70000); },
      [](auto& it) { it.sealed_key.clear(); },
      [](auto& it) { it.sealed_key.resize(1000000); },
      [](auto& it) { it.sealed_key.back() ^= std::byte{1}; }};
  for (const auto& fault : faults) {
    KeySlotOffer bad = offer(*owner, new_slot(phrase_, "operator"));
    fault(bad);
    EXPECT_KIND(owner->add_key_slot(bad), invalid_argument);
    bad = offer(*owner, new_slot(phrase_, "operator"));
    fault(bad);
    EXPECT_KIND(owner->change_key_slot(0, bad), invalid_argument);
  }
  EXPECT_EQ(header_area(), before);
}

TEST_F(LiveKeysTest, ASaltHasItsLength) {
  const auto owner = link();
  for (const std::size_t size : {0U, 31U, 33U, 100000U}) {
    const Status done = owner->ask<void>([size](rpc::Owner::Client& to) {
      return to.receiveKeySlotRequest().send().then([&to, size](auto&&) {
        auto request = to.addKeySlotRequest();
        auto it = request.initOffer();
        it.setKind(3);
        it.initSalt(static_cast<unsigned>(size));
        return request.send().then([](auto&& answer) { return take_status(answer); });
      });
    });
    EXPECT_KIND(done, invalid_argument);
  }
}

TEST_F(LiveKeysTest, AReceiverTakesOneOffer) {
  const auto owner = operators();
  const NewKeySlot slot = new_slot(other_);
  const KeySlotOffer first = offer(*owner, slot);
  const KeySlotOffer second = offer(*owner, slot); // The first one's receiver is gone.
  EXPECT_KIND(owner->add_key_slot(first), invalid_argument);
  EXPECT_KIND(owner->add_key_slot(second), invalid_argument); // As is this one's, by the failure.
  const KeySlotOffer third = offer(*owner, slot);
  EXPECT_KIND(operators()->add_key_slot(third), invalid_argument); // Of another session.
  ASSERT_OK(owner->add_key_slot(third));
  EXPECT_KIND(owner->add_key_slot(third), invalid_argument);
  EXPECT_EQ(owner->key_slots()->size(), 2U);
}

TEST_F(LiveKeysTest, SixteenHoldersAreAll) {
  const auto owner = operators();
  for (unsigned number = 1; number < 16; ++number) {
    ASSERT_OK(add(*owner, new_slot(other_)));
  }
  ASSERT_OK(owner->remove_key_slot(15, false));
  const KeySlotOffer late = offer(*owner, new_slot(other_));
  ASSERT_OK(add(*operators(), new_slot(other_)));
  EXPECT_KIND(owner->add_key_slot(late), no_space);
  ASSERT_OK(owner->remove_key_slot(5, false));
  EXPECT_EQ(add(*owner, new_slot(phrase_))->number, 5U);
}

// What is added while the data key is exchanged has the new one, and stays.
TEST_F(LiveKeysTest, BesideExchangesOfTheDataKeyNoSlotIsLost) {
  const std::string public_key = files_.public_key();
  std::atomic<bool> rotates = true;
  std::jthread rotating([&] {
    const auto owner = operators();
    for (int round = 0; round < 12; ++round) {
      EXPECT_OK(owner->rotate_data_key(false, {}));
    }
    rotates = false;
  });
  std::jthread writing([&] {
    const auto machine = client();
    while (rotates) {
      EXPECT_OK(put(*machine, "a", "what there is"));
    }
  });
  std::vector<unsigned> numbers;
  {
    const auto owner = operators();
    bool was_rotating = true;
    while (was_rotating || numbers.size() < 2) {
      was_rotating = rotates;
      const auto added = add(*owner, new_slot(public_key));
      ASSERT_OK(added);
      EXPECT_TRUE(added->current);
      numbers.push_back(added->number);
      ASSERT_OK(change(*owner, added->number, new_slot(public_key, "changed")));
      if (numbers.size() > 10) {
        ASSERT_OK(owner->remove_key_slot(numbers.front(), false));
        numbers.erase(numbers.begin());
      }
    }
    rotating.join();
    writing.join();
    const auto slots = owner->key_slots();
    ASSERT_OK(slots);
    EXPECT_EQ(slots->size(), numbers.size() + 1);
    EXPECT_TRUE(std::ranges::all_of(*slots, &KeySlotInfo::current));
    // Each by itself.
    ASSERT_OK(owner->remove_key_slot(0, false));
    while (numbers.size() > 1) {
      expect_opens_beside(private_);
      ASSERT_OK(owner->remove_key_slot(numbers.back(), false));
      numbers.pop_back();
    }
  }
  end_owner();
  expect_opens(private_);
}

// The flush that failed may have lost what others have written, too.
TEST_F(LiveKeysTest, AWriteThatFailsLeavesTheSlotsOfBeforeAndPoisons) {
  const auto owner = operators();
  const KeySlotOffer it = offer(*owner, new_slot(other_));
  trouble_->header_fails = true;
  EXPECT_FALSE(owner->add_key_slot(it).ok());
  trouble_->header_fails = false;
  EXPECT_EQ(owner->key_slots()->size(), 1U);
  EXPECT_KIND(put(*client(), "a", "lost"), poisoned);
  EXPECT_KIND(add(*owner, new_slot(other_)), poisoned);
}

TEST_F(LiveKeysTest, AStoreThatHasFailedTakesNone) {
  const auto owner = operators();
  ASSERT_OK(add(*owner, new_slot(other_)));
  const KeySlotOffer it = offer(*owner, new_slot(phrase_));
  trouble_->gone = true;
  EXPECT_FALSE(put(*client(), "a", "lost").ok());
  trouble_->gone = false;
  const Bytes before = header_area();
  EXPECT_KIND(operators()->receive_key_slot(1), poisoned);
  EXPECT_KIND(owner->add_key_slot(it), poisoned);
  EXPECT_KIND(owner->remove_key_slot(1, false), poisoned);
  EXPECT_KIND(owner->change_metadata("name", "value"), poisoned);
  EXPECT_KIND(owner->change_metadata("name", std::nullopt), poisoned);
  EXPECT_EQ(header_area(), before);
  EXPECT_EQ(owner->key_slots()->size(), 2U);
}

TEST_F(LiveKeysTest, ASealedImageHasHoldersAsWell) {
  ASSERT_OK(keeper_.seal());
  ASSERT_OK(add(*operators(), new_slot(other_)));
  ASSERT_OK(keeper_.unseal());
  end_owner();
  expect_opens(other_);
}

// Before a person is asked for a passphrase, and a passphrase takes its time and memory.
TEST_F(LiveKeysTest, AnOfferThatCannotBeTakenIsNotAskedFor) {
  const auto owner = operators();
  EXPECT_KIND(owner->receive_key_slot(1), not_found);
  for (unsigned number = 1; number < 16; ++number) {
    ASSERT_OK(add(*owner, new_slot(other_)));
  }
  EXPECT_KIND(owner->receive_key_slot(), no_space);
  ASSERT_OK(owner->receive_key_slot(1));
}

// Who has asked may be gone when it is released, and nobody expects it any more.
TEST_F(LiveKeysTest, WhileChangesAreHeldItIsRefused) {
  const auto owner = operators();
  ASSERT_OK(add(*owner, new_slot(other_)));
  const KeySlotOffer it = offer(*owner, new_slot(other_));
  ASSERT_OK(owner->hold(std::chrono::minutes(10)));
  EXPECT_KIND(operators()->receive_key_slot(), in_use);
  EXPECT_KIND(owner->add_key_slot(it), in_use);
  EXPECT_KIND(owner->remove_key_slot(1, false), in_use);
  EXPECT_KIND(owner->change_metadata("name", "value"), in_use);
  EXPECT_KIND(owner->rotate_data_key(false, {}), in_use);
  EXPECT_EQ(owner->key_slots()->size(), 2U);
  ASSERT_OK(owner->release());
  ASSERT_OK(owner->remove_key_slot(1, false));
}

// As after the exchange of the key that it was started with.
TEST_F(LiveKeysTest, AnExchangeOfTheDataKeyDoesNotShutTheOwnerOut) {
  const auto owner = operators();
  ASSERT_OK(add(*owner, new_slot(other_)));
  ASSERT_OK(owner->remove_key_slot(0, false));
  EXPECT_KIND(owner->rotate_data_key(false, {}), key_needed);
  EXPECT_KIND(owner->rotate_data_key(true, {}), key_needed);
  end_owner();
  expect_opens(other_);
}

// Nothing is lost that others have written: nothing was.
TEST_F(LiveKeysTest, WhatCannotBeReadFailsNobodyElse) {
  const auto owner = operators();
  trouble_->unreadable = true;
  EXPECT_KIND(owner->change_metadata("name", "value"), io);
  trouble_->unreadable = false;
  EXPECT_OK(put(*client(), "a", "went on"));
  EXPECT_OK(owner->change_metadata("name", "value"));
}

} // namespace
} // namespace vnvram::test
