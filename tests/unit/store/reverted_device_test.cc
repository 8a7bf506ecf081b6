// A device whose content someone puts back underneath an open store.
#include "format/geometry.h"
#include "format/superblock.h"
#include "unit/store/store_fixture.h"
#include "vnvram/rescue.h"

namespace vnvram {
namespace {

class RevertedDevice : public StoreFixture {
protected:
  void SetUp() override {
    create({spec("a", 100)});
    store_ = open();
    ASSERT_OK(store_->write("a", bytes("one")));
  }
  void commit(std::string_view text) { ASSERT_OK(store_->write("a", bytes(text))); }
  bool is_current() {
    const Result<bool> current = store_->is_current();
    EXPECT_TRUE(current.ok());
    return current.ok() && *current;
  }
  /// Where the newest record is: the first commit's block is behind the checkpoint's position.
  std::uint64_t ring_offset_bytes(std::uint32_t record) {
    const auto block = std::span(disk_->bytes()).first<block_size_bytes>();
    const auto a = format::check_superblock(block, 0);
    return format::Geometry::ring_block(a.superblock.ring_position + record) * block_size_bytes;
  }
  void copy_block(const std::vector<std::byte>& from, std::uint64_t offset_bytes) {
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(offset_bytes), block_size_bytes,
                disk_->bytes().begin() + static_cast<std::ptrdiff_t>(offset_bytes));
  }

  std::unique_ptr<Store> store_;
};

TEST_F(RevertedDevice, KnowsItsOwnContent) {
  EXPECT_TRUE(is_current());
  commit("two");
  EXPECT_TRUE(is_current());
  ASSERT_OK(store_->checkpoint());
  EXPECT_TRUE(is_current());
}

TEST_F(RevertedDevice, SeesThatCommitsAreGone) {
  const std::vector<std::byte> snapshot = disk_->bytes();
  commit("two");
  disk_->bytes() = snapshot;
  EXPECT_FALSE(is_current());
  store_->abandon();
  EXPECT_EQ(disk_->bytes(), snapshot); // Nothing more was written.
  store_.reset();
  EXPECT_EQ(*open()->read("a"), bytes("one"));
}

TEST_F(RevertedDevice, SeesThatACheckpointIsGone) {
  const std::vector<std::byte> snapshot = disk_->bytes();
  commit("two");
  ASSERT_OK(store_->checkpoint());
  disk_->bytes() = snapshot;
  EXPECT_FALSE(is_current());
}

TEST_F(RevertedDevice, SeesALaterContentAndAnotherOwner) {
  commit("two");
  const std::vector<std::byte> later = disk_->bytes();
  const std::uint64_t generation = store_->info().generation;
  ASSERT_OK(store_->checkpoint());
  disk_->bytes() = later;
  EXPECT_FALSE(is_current());
  store_->abandon();
  store_.reset();
  store_ = open();
  EXPECT_EQ(store_->info().generation, generation);
  EXPECT_TRUE(is_current());
  const auto own_disk = disk_;
  forget_owner();
  auto other = open();
  own_disk->bytes() = disk_->bytes();
  EXPECT_FALSE(is_current());
  store_->abandon();
}

// A request that was parked while the content was put back lands on it afterwards.
TEST_F(RevertedDevice, ReportsAStrayRecordAndDropsItOnlyOnDemand) {
  const std::vector<std::byte> snapshot = disk_->bytes();
  commit("two");
  commit("three");
  const std::vector<std::byte> newest = disk_->bytes();
  disk_->bytes() = snapshot;
  copy_block(newest, ring_offset_bytes(2));
  EXPECT_FALSE(is_current());
  store_->abandon();
  store_.reset();

  const auto refused = try_open();
  EXPECT_KIND(refused, corrupt);
  EXPECT_NE(refused.error().remedy().find("--discard-stray"), std::string::npos);
  MemoryDevice device(disk_);
  const std::vector<std::byte> before = disk_->bytes();
  const auto foreseen = discard_stray_record(device, true);
  ASSERT_OK(foreseen);
  EXPECT_EQ(foreseen->findings.size(), 1U);
  EXPECT_EQ(disk_->bytes(), before);
  const auto dropped = discard_stray_record(device);
  ASSERT_OK(dropped);
  EXPECT_EQ(dropped->findings.size(), 1U);
  EXPECT_EQ(*open()->read("a"), bytes("one"));
  const auto again = discard_stray_record(device);
  ASSERT_OK(again);
  EXPECT_TRUE(again->findings.empty());
}

TEST_F(RevertedDevice, DamageIsNotTakenForAStrayRecord) {
  commit("two");
  commit("three");
  commit("four");
  store_->abandon();
  store_.reset();
  const std::uint64_t second = ring_offset_bytes(1);
  disk_->bytes().at(second + 200) ^= std::byte{1}; // Its payload: torn, in the middle.
  MemoryDevice device(disk_);
  const std::vector<std::byte> before = disk_->bytes();
  EXPECT_KIND(discard_stray_record(device), corrupt);
  EXPECT_EQ(disk_->bytes(), before);
  std::fill_n(disk_->bytes().begin() + static_cast<std::ptrdiff_t>(second), block_size_bytes,
              std::byte{}); // Gone, and two newer ones behind it.
  EXPECT_KIND(discard_stray_record(device), corrupt);
}

} // namespace
} // namespace vnvram
