// What an opening reads: homes in clusters, the ring once.
#include "support/counting_device.h"
#include <algorithm>

#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

constexpr std::uint64_t blob_size_bytes = std::uint64_t{512} << 10U;

class OpeningCost : public StoreFixture {
protected:
  void SetUp() override {
    create({spec("a", blob_size_bytes)});
    ASSERT_OK(open()->write("a", pattern(blob_size_bytes, 1)));
  }
  // A commit to every page, in the ring only.
  void leave_records() {
    const auto store = open();
    for (std::uint64_t offset = 0; offset < blob_size_bytes; offset += block_size_bytes) {
      ASSERT_OK(store->write_range("a", offset, bytes("changed")));
    }
    forget_owner();
  }
  std::uint64_t reads_to_open() {
    const auto counter = std::make_shared<test::DeviceCounter>();
    const auto store = Store::open(
        std::make_unique<test::CountingDevice>(std::make_unique<MemoryDevice>(disk_), counter),
        inline_options());
    EXPECT_TRUE(store.ok());
    return counter->cost().reads;
  }
};

TEST_F(OpeningCost, RecordsForManyPagesTakeFewReads) {
  leave_records();
  EXPECT_LT(reads_to_open(), 25U); // 128 pages, 2 MiB of ring
}

TEST_F(OpeningCost, ACleanImagesRingIsNotRead) {
  EXPECT_LT(reads_to_open(), 13U);
}

// What a cluster holds besides the page that is wanted must not get in its way.
TEST_F(OpeningCost, APageBesideAnUnreadableOneIsRead) {
  const auto page = pattern(block_size_bytes, 1); // the blob's first
  std::uint64_t unreadable = 0;
  while (!std::equal(page.begin(), page.end(), disk_->bytes().data() + unreadable)) {
    unreadable += block_size_bytes;
    ASSERT_LT(unreadable, disk_->bytes().size());
  }
  const auto hook = std::make_shared<HookedDevice::Hook>();
  *hook = [&](HookedDevice::Call call, std::uint64_t offset, std::span<const std::byte> data) {
    const bool hit = call == HookedDevice::Call::read && offset <= unreadable &&
                     unreadable < offset + data.size();
    return hit ? Status(Error{ErrorKind::io, "hooked: cannot read"}) : Status{};
  };
  const auto store = Store::open(std::make_unique<HookedDevice>(disk_, hook), inline_options());
  ASSERT_OK(store);
  Bytes rest(blob_size_bytes - block_size_bytes);
  ASSERT_OK((*store)->read_range("a", block_size_bytes, rest));
  const Bytes whole = pattern(blob_size_bytes, 1);
  EXPECT_EQ(rest, Bytes(whole.begin() + block_size_bytes, whole.end()));
  EXPECT_KIND((*store)->read("a"), io);
}

} // namespace
} // namespace vnvram
