// When an opening asks the device for the space that its image needs.
#include <optional>

#include "device/forwarding_device.h"
#include "device/space_keeper.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

/// What was asked for, and what is answered; outside of the device, which a store takes over.
struct Asked {
  std::optional<std::uint64_t> length_bytes;
  Status answer;
};

class AskedDevice final : public ForwardingDevice, public SpaceKeeper {
public:
  AskedDevice(std::unique_ptr<BlockDevice> target, Asked& asked)
      : ForwardingDevice(*target), target_(std::move(target)), asked_(asked) {}

private:
  Status reserve_space(std::uint64_t length_bytes) override {
    asked_.length_bytes = length_bytes;
    return asked_.answer;
  }

  std::unique_ptr<BlockDevice> target_;
  Asked& asked_;
};

class ReserveSpace : public StoreFixture {
protected:
  Result<std::unique_ptr<Store>> open_asked(Access access = Access::read_write) {
    OpenOptions options = inline_options();
    options.access = access;
    return Store::open(std::make_unique<AskedDevice>(std::make_unique<MemoryDevice>(disk_), asked_),
                       std::move(options));
  }

  Asked asked_;
};

TEST_F(ReserveSpace, AnOpeningForWritingAsksForAllOfTheImage) {
  create({spec("a", 100)});
  auto store = open_asked();
  ASSERT_OK(store);
  EXPECT_EQ(asked_.length_bytes, (*store)->info().image_size_bytes);
}

TEST_F(ReserveSpace, AReaderDoesNotAsk) {
  create({spec("a", 100)});
  ASSERT_OK(open_asked(Access::read_only));
  EXPECT_FALSE(asked_.length_bytes.has_value());
}

TEST_F(ReserveSpace, WhatIsNotOursIsLeftAlone) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  EXPECT_KIND(open_asked(), blank);
  create({spec("a", 100)});
  ASSERT_OK(open()->seal());
  EXPECT_KIND(open_asked(), sealed);
  EXPECT_FALSE(asked_.length_bytes.has_value());
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
