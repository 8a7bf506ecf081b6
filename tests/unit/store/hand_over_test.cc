// One image that two hosts reach: who may go on with it, and who may not.
#include <optional>

#include "device/forwarding_device.h"
#include "format/layout.h"
#include "unit/store/store_fixture.h"
#include "vnvram/take_over.h"

namespace vnvram {
namespace {

HandOverNumber number(unsigned value) {
  HandOverNumber made;
  made.bytes.front() = static_cast<std::byte>(value);
  return made;
}

OwnerEpoch epoch_of(const Store& store) {
  const AnchorPoint point = store.image_point();
  return {.number = point.epoch_number, .random = point.epoch_random};
}

class HandOverOfImage : public StoreFixture {
protected:
  void SetUp() override { create({spec("a", 100)}); }

  static OpenOptions coming_for(const HandOverNumber& wanted) {
    OpenOptions options = inline_options();
    options.go_on = GoOn{.hand_over = wanted};
    return options;
  }
  static OpenOptions taking_back(const HandOverNumber& wanted, const OwnerEpoch& epoch) {
    OpenOptions options = coming_for(wanted);
    options.go_on->own_epoch = epoch;
    return options;
  }

  /// Returns the epoch that was the source's.
  OwnerEpoch hand_over(const HandOverNumber& as, std::string_view content = "handed over") {
    auto store = open();
    EXPECT_OK(store->write("a", bytes(content)));
    EXPECT_OK(store->seal(as));
    EXPECT_EQ(store->info().hand_over, as);
    const OwnerEpoch epoch = epoch_of(*store);
    EXPECT_OK(store->close());
    return epoch;
  }
  /// As a destination does it.
  std::unique_ptr<Store> come_for(const HandOverNumber& wanted) {
    auto store = open(coming_for(wanted));
    EXPECT_TRUE(store->info().sealed); // Through the epoch, too.
    EXPECT_FALSE(store->write("a", bytes("too early")).ok());
    EXPECT_OK(store->unseal());
    return store;
  }
};

class FencingDevice final : public ForwardingDevice {
public:
  using ForwardingDevice::ForwardingDevice;
  Status shut_out_owner() override {
    ++fences;
    return answer;
  }

  int fences = 0;
  Status answer;
};

// Nothing else could be done with it where a dead host has the device reserved.
TEST_F(HandOverOfImage, WhoHasSealedItIsShutOutAndTheSealStays) {
  hand_over(number(1));
  MemoryDevice target = device();
  FencingDevice fencing(target);
  EXPECT_KIND(take_over(fencing, OwnerWord::nothing, {}), sealed);
  EXPECT_EQ(fencing.fences, 1);
  EXPECT_TRUE(come_for(number(1))->info().hand_over.is_none()); // It was sealed as before.
}

TEST_F(HandOverOfImage, AFenceThatFailsIsSaidOfASealedImage) {
  hand_over(number(1));
  MemoryDevice target = device();
  FencingDevice fencing(target);
  fencing.answer = Error(ErrorKind::io, "the device failed");
  EXPECT_KIND(take_over(fencing, OwnerWord::nothing, {}), io);
  fencing.answer = Error(ErrorKind::unsupported, "this storage cannot");
  EXPECT_KIND(take_over(fencing, OwnerWord::nothing, {}), sealed);
}

TEST_F(HandOverOfImage, WhoHasItsNumberGoesOn) {
  hand_over(number(1));
  const auto store = come_for(number(1));
  EXPECT_TRUE(store->info().hand_over.is_none());
  EXPECT_EQ(*store->read("a"), bytes("handed over"));
  EXPECT_OK(store->write("a", bytes("goes on")));
}

TEST_F(HandOverOfImage, NobodyElseDoes) {
  hand_over(number(1));
  const Bytes before = disk_->bytes();
  EXPECT_KIND(try_open(), sealed);
  OpenOptions again = inline_options();
  again.accept_sealed = true; // A restart.
  EXPECT_KIND(try_open(again), sealed);
  EXPECT_KIND(try_open(coming_for(number(2))), sealed);
  EXPECT_KIND(try_open(coming_for({})), sealed);
  EXPECT_EQ(disk_->bytes(), before);
  EXPECT_TRUE(open_read_only()->info().sealed);
}

TEST_F(HandOverOfImage, NothingIsOpenedThatIsNotHandedOver) {
  const std::uint64_t epoch = open_read_only()->info().epoch;
  EXPECT_KIND(try_open(coming_for(number(1))), stale);
  auto owner = open();
  EXPECT_KIND(try_open(coming_for(number(1))), in_use);
  ASSERT_OK(owner->seal()); // For nobody.
  ASSERT_OK(owner->close());
  EXPECT_KIND(try_open(coming_for(number(1))), sealed);
  EXPECT_KIND(try_open(coming_for({})), sealed);
  EXPECT_EQ(open_read_only()->info().epoch, epoch + 1);
}

TEST_F(HandOverOfImage, OfOneNumberOnlyTheFirstGoesOn) {
  hand_over(number(1));
  auto store = come_for(number(1));
  EXPECT_KIND(try_open(coming_for(number(1))), in_use);
  ASSERT_OK(store->close());
  EXPECT_KIND(try_open(coming_for(number(1))), stale);
}

TEST_F(HandOverOfImage, TheSourceTakesBackWhatNobodyHasTaken) {
  const OwnerEpoch epoch = hand_over(number(1));
  auto store = open(taking_back(number(1), epoch));
  ASSERT_OK(store->unseal());
  EXPECT_OK(store->write("a", bytes("goes on here")));
  ASSERT_OK(store->close());
  EXPECT_KIND(try_open(coming_for(number(1))), stale);
}

TEST_F(HandOverOfImage, TheSourceTakesBackWhatItsOwnEpochHasUnsealed) {
  auto store = open();
  const OwnerEpoch epoch = epoch_of(*store);
  ASSERT_OK(store->close());
  EXPECT_OK(open(taking_back(number(1), epoch))->write("a", bytes("goes on here")));
}

TEST_F(HandOverOfImage, ItDoesNotTakeBackWhatHasGoneOnElsewhere) {
  const OwnerEpoch epoch = hand_over(number(1));
  auto destination = come_for(number(1));
  const auto refused = try_open(taking_back(number(1), epoch));
  EXPECT_KIND(refused, stale);
  EXPECT_NE(refused.error().cause().find("process "), std::string::npos) << refused.error().text();
  ASSERT_OK(destination->write("a", bytes("elsewhere")));
  ASSERT_OK(destination->seal(number(2))); // And on from there.
  ASSERT_OK(destination->close());
  EXPECT_KIND(try_open(taking_back(number(1), epoch)), stale);
}

// As with an opening that was cut, or has given up.
TEST_F(HandOverOfImage, WhoOnlyBeganAnEpochHasTakenNothing) {
  const OwnerEpoch epoch = hand_over(number(1));
  open(coming_for(number(1)))->abandon();
  ASSERT_OK(open(coming_for(number(1)))->close());
  auto source = open(taking_back(number(1), epoch));
  ASSERT_OK(source->unseal());
  EXPECT_OK(source->write("a", bytes("goes on here")));
}

TEST_F(HandOverOfImage, TheNewestNumberCounts) {
  auto store = open();
  ASSERT_OK(store->seal(number(1)));
  ASSERT_OK(store->seal(number(2)));
  ASSERT_OK(store->seal()); // Is sealed, and stays so for whom it is.
  ASSERT_OK(store->close());
  EXPECT_KIND(try_open(coming_for(number(1))), sealed);
  come_for(number(2));
}

TEST_F(HandOverOfImage, BothSuperblocksSayIt) {
  auto store = open();
  ASSERT_OK(store->seal(number(1)));
  const Bytes sealed = disk_->bytes();
  store->abandon();
  for (std::size_t copy = 0; copy < format::superblock_count; ++copy) {
    disk_ = std::make_shared<MemoryDisk>(sealed);
    disk_->bytes().at((copy * block_size_bytes) + 100) ^= std::byte{1};
    EXPECT_KIND(try_open(coming_for(number(2))), sealed);
    come_for(number(1));
  }
}

TEST_F(HandOverOfImage, AWordTakesTheSealOff) {
  hand_over(number(1));
  ASSERT_OK(seal_image(std::make_unique<MemoryDevice>(disk_)));
  EXPECT_EQ(open_read_only()->info().hand_over, number(1)); // Harmless.
  ASSERT_OK(unseal_image(std::make_unique<MemoryDevice>(disk_)));
  EXPECT_KIND(try_open(coming_for(number(1))), stale);
  EXPECT_OK(open()->write("a", bytes("by a word")));
}

TEST_F(HandOverOfImage, ItSaysSinceWhenItHasItsOwner) {
  EXPECT_EQ(open_read_only()->info().owner_since_seconds, 0U);
  auto store = open();
  EXPECT_GT(open_read_only()->info().owner_since_seconds, 1700000000U);
  ASSERT_OK(store->close());
  EXPECT_EQ(open_read_only()->info().owner_since_seconds, 0U);
}

// The MAC covers the number: who has no key cannot say for which hand-over it is.
TEST_F(HandOverOfImage, ThatIsEncryptedIsSealedForItAsWell) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  CreateOptions made;
  made.data_key = pattern(32, 99);
  made.blobs.push_back({.spec = spec("a", 100)});
  MemoryDevice fresh(disk_);
  ASSERT_OK(create_image(fresh, made));
  OpenOptions with_key = inline_options();
  with_key.keys = KeyRing::of_data_key(made.data_key);
  ASSERT_OK(open(with_key)->seal(number(1)));
  OpenOptions coming = coming_for(number(1));
  EXPECT_KIND(try_open(coming), key_needed);
  coming.keys = with_key.keys;
  auto store = open(coming);
  ASSERT_OK(store->unseal());
  EXPECT_OK(store->write("a", bytes("goes on")));
}

} // namespace
} // namespace vnvram
