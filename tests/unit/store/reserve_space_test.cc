// When an opening asks the device for the space that its image needs.
#include <functional>
#include <vector>

#include "device/forwarding_device.h"
#include "device/space_keeper.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

/// What was asked for, and what is answered; outside of the device, which a store takes over.
struct Asked {
  std::vector<ByteRange> ranges;
  Status answer;
};

class AskedDevice final : public ForwardingDevice, public SpaceKeeper {
public:
  AskedDevice(std::unique_ptr<BlockDevice> target, Asked& asked)
      : ForwardingDevice(*target), target_(std::move(target)), asked_(asked) {}

private:
  Status reserve_space(const ByteRange& range) override {
    asked_.ranges.push_back(range);
    return asked_.answer;
  }

  std::unique_ptr<BlockDevice> target_;
  Asked& asked_;
};

/// Asked before each write where it goes.
class RefusingDevice final : public ForwardingDevice {
public:
  using Refuse = std::function<Status(std::uint64_t offset_bytes)>;
  RefusingDevice(std::unique_ptr<BlockDevice> target, Refuse refuse)
      : ForwardingDevice(*target), target_(std::move(target)), refuse_(std::move(refuse)) {}

  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status refused = refuse_(offset_bytes);
    return refused ? ForwardingDevice::write(offset_bytes, data) : refused;
  }

private:
  std::unique_ptr<BlockDevice> target_;
  Refuse refuse_;
};

class ReserveSpace : public StoreFixture {
protected:
  Result<std::unique_ptr<Store>> open_asked(Access access = Access::read_write) {
    OpenOptions options = inline_options();
    options.access = access;
    return Store::open(std::make_unique<AskedDevice>(std::make_unique<MemoryDevice>(disk_), asked_),
                       std::move(options));
  }

  Result<std::unique_ptr<Store>> open_refusing(RefusingDevice::Refuse refuse) {
    return Store::open(
        std::make_unique<RefusingDevice>(std::make_unique<MemoryDevice>(disk_), std::move(refuse)),
        inline_options());
  }

  Asked asked_;
};

TEST_F(ReserveSpace, AnOpeningForWritingAsksForAllOfTheImage) {
  create({spec("a", 100)});
  auto store = open_asked();
  ASSERT_OK(store);
  ASSERT_EQ(asked_.ranges.size(), 1U);
  EXPECT_EQ(asked_.ranges[0].offset_bytes, 0U);
  EXPECT_EQ(asked_.ranges[0].length_bytes, disk_->bytes().size()) << "the third superblock's, too";
}

// The room for the third superblock moves with the end; what is between is nobody's.
TEST_F(ReserveSpace, OnAGrownDeviceNothingBetweenTheImageAndItsEnd) {
  create({spec("a", 100)});
  constexpr std::uint64_t room_bytes = 8 * block_size_bytes;
  const std::uint64_t image_bytes = disk_->bytes().size() - room_bytes;
  disk_->bytes().resize(3 * disk_->bytes().size());
  const auto store = open_asked();
  ASSERT_OK(store);
  ASSERT_EQ(asked_.ranges.size(), 2U);
  EXPECT_EQ(asked_.ranges[0].offset_bytes, 0U);
  EXPECT_EQ(asked_.ranges[0].length_bytes, image_bytes);
  EXPECT_EQ(asked_.ranges[1].offset_bytes, disk_->bytes().size() - room_bytes);
  EXPECT_EQ(asked_.ranges[1].length_bytes, room_bytes);
}

TEST_F(ReserveSpace, AnImageAsLongAsItsDeviceHasNoMore) {
  create({spec("a", 100)});
  disk_->bytes().resize(disk_->bytes().size() - (8 * block_size_bytes));
  const auto store = open_asked();
  ASSERT_OK(store);
  ASSERT_EQ(asked_.ranges.size(), 1U);
  EXPECT_EQ(asked_.ranges[0].length_bytes, disk_->bytes().size());
}

// Nothing is acknowledged by an owner whose third superblock could not be written.
TEST_F(ReserveSpace, AThirdSuperblockThatCannotBeWrittenFailsTheOpeningOrTheClose) {
  create({spec("a", 100)});
  const std::uint64_t third_bytes = disk_->bytes().size() - (8 * block_size_bytes);
  bool full = true;
  const auto refuse = [&](std::uint64_t offset_bytes) {
    return full && offset_bytes == third_bytes ? Status(Error(ErrorKind::io, "no space left"))
                                               : Status{};
  };
  EXPECT_KIND(open_refusing(refuse), io);
  full = false;
  auto store = open_refusing(refuse);
  ASSERT_OK(store);
  ASSERT_OK((*store)->write("a", bytes("kept")));
  full = true;
  EXPECT_KIND((*store)->close(), io);
  EXPECT_EQ(*open()->read("a"), bytes("kept"));
}

// Of a device that was lengthened without space for it.
TEST_F(ReserveSpace, AGrowthAsksForWhatTheImageGets) {
  create({spec("a", 100)});
  constexpr std::uint64_t room_bytes = 8 * block_size_bytes;
  const std::uint64_t image_bytes = disk_->bytes().size() - room_bytes;
  disk_->bytes().resize(3 * disk_->bytes().size());
  AskedDevice device(std::make_unique<MemoryDevice>(disk_), asked_);
  asked_.answer = Error(ErrorKind::no_space, "no space left");
  EXPECT_KIND(resize_image(device, 2 * disk_->bytes().size() / 3), no_space);
  EXPECT_EQ(open()->info().image_size_bytes, image_bytes + room_bytes) << "as it was";
  asked_ = {};
  ASSERT_OK(resize_image(device, 2 * disk_->bytes().size() / 3));
  ASSERT_EQ(asked_.ranges.size(), 1U);
  EXPECT_EQ(asked_.ranges[0].offset_bytes, image_bytes);
  EXPECT_EQ(asked_.ranges[0].end_bytes(), 2 * disk_->bytes().size() / 3);
}

TEST_F(ReserveSpace, AGrowthByItselfThatGetsNoneIsRefusedAndTheStoreGoesOn) {
  create({spec("a", 100)});
  disk_->bytes().resize(3 * disk_->bytes().size());
  OpenOptions options = inline_options();
  options.grow_max_bytes = disk_->bytes().size();
  const auto opened = Store::open(
      std::make_unique<AskedDevice>(std::make_unique<MemoryDevice>(disk_), asked_), options);
  ASSERT_OK(opened);
  Store& store = **opened;
  const std::vector<BlobSpec> large = {spec("b", 900000), spec("c", 900000)};
  asked_.answer = Error(ErrorKind::no_space, "no space left");
  EXPECT_KIND(store.register_blobs(large), no_space);
  ASSERT_OK(store.write("a", bytes("goes on")));
  asked_.answer = {};
  ASSERT_OK(store.register_blobs(large));
  ASSERT_OK(store.write("c", pattern(900000, 1)));
}

TEST_F(ReserveSpace, AReaderDoesNotAsk) {
  create({spec("a", 100)});
  ASSERT_OK(open_asked(Access::read_only));
  EXPECT_TRUE(asked_.ranges.empty());
}

TEST_F(ReserveSpace, WhatIsNotOursIsLeftAlone) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  EXPECT_KIND(open_asked(), blank);
  create({spec("a", 100)});
  ASSERT_OK(open()->seal());
  EXPECT_KIND(open_asked(), sealed);
  EXPECT_TRUE(asked_.ranges.empty());
}

TEST_F(ReserveSpace, ARefusalChangesNothingAndKeepsNoLock) {
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("kept")));
  const auto before = open_read_only()->info();
  asked_.answer = Error(ErrorKind::no_space, "full");
  EXPECT_KIND(open_asked(), no_space);
  EXPECT_EQ(open_read_only()->info().epoch, before.epoch);
  asked_.answer = {};
  auto later = open_asked();
  ASSERT_OK(later);
  EXPECT_EQ(*(*later)->read("a"), bytes("kept"));
}

} // namespace
} // namespace vnvram
