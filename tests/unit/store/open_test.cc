// Open is a decision table: one test for each row, and for each way an image can be refused.
#include <cstring>

#include "device/forwarding_device.h"
#include "format/checksum.h"
#include "format/codec.h"
#include "format/superblock.h"
#include "provision/image_size.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Open : public StoreFixture {
protected:
  void flip(std::uint64_t offset_bytes) { disk_->bytes()[offset_bytes] ^= std::byte{0x10}; }
  template <typename Change> void change_superblock(unsigned copy, Change change) {
    format::Superblock superblock{};
    std::byte* at = disk_->bytes().data() + (copy * block_size_bytes);
    std::memcpy(&superblock, at, sizeof(superblock));
    change(superblock);
    const std::uint32_t version = superblock.format_version;
    format::Codec(superblock).finish(superblock, copy); // sets the version, too
    if (version != superblock.format_version) {
      finish_with_version(superblock, version);
    }
    std::memcpy(at, &superblock, sizeof(superblock));
  }
  static void finish_with_version(format::Superblock& superblock, std::uint32_t version);
  // Of the n-th one-block record since the opening: half a ring behind the one that create wrote.
  static std::uint64_t record_offset(std::uint64_t n) {
    return (format::ring_start_block + (ring_block_count_default / 2) + 1 + n) * block_size_bytes;
  }
};

void Open::finish_with_version(format::Superblock& superblock, std::uint32_t version) {
  superblock.format_version = version;
  superblock.checksum = format::checksum(
      std::as_bytes(std::span(&superblock, 1)).first(offsetof(format::Superblock, checksum)), 0);
}

TEST_F(Open, Blank) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  EXPECT_KIND(try_open(), blank);
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{0});
  EXPECT_KIND(try_open(), blank);
  // A partition of an odd number of sectors.
  disk_ = std::make_shared<MemoryDisk>((std::uint64_t{4} << 20U) + 512);
  EXPECT_KIND(try_open(), blank);
  disk_->bytes().back() = std::byte{0x55};
  EXPECT_KIND(try_open(), foreign);
}

TEST_F(Open, Foreign) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  for (const std::size_t at :
       {std::size_t{510}, std::size_t{5000}, std::size_t{65600}, (std::size_t{4} << 20U) - 512}) {
    disk_->bytes()[at] = std::byte{0x55};
    EXPECT_KIND(try_open(), foreign);
    disk_->bytes()[at] = std::byte{0};
  }
}

TEST_F(Open, EitherSuperblockIsEnough) {
  for (const unsigned copy : {0U, 1U}) {
    create({spec("a", 100)});
    ASSERT_OK(open()->write("a", bytes("x")));
    flip((copy * block_size_bytes) + 100);
    EXPECT_EQ(*open()->read("a"), bytes("x"));
  }
}

TEST_F(Open, EitherSuperblockOfANewImageIsEnough) {
  for (const unsigned copy : {0U, 1U}) {
    create({spec("a", 100)});
    flip((copy * block_size_bytes) + 100);
    const auto store = open();
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(store->info().blob_count, 1U);
  }
}

TEST_F(Open, CorruptWhenNoSuperblockIsWhole) {
  create({});
  flip(100);
  flip(block_size_bytes + 100);
  EXPECT_KIND(try_open(), corrupt);
}

TEST_F(Open, TooNewByVersionOrFeature) {
  create({});
  change_superblock(0, [](format::Superblock& superblock) { superblock.format_version = 2; });
  EXPECT_KIND(try_open(), too_new);
  create({});
  change_superblock(1, [](format::Superblock& superblock) { superblock.features_must_know = 4; });
  EXPECT_KIND(try_open(), too_new);
}

TEST_F(Open, AFeatureThatMayBeIgnoredIsIgnored) {
  create({});
  for (const unsigned copy : {0U, 1U}) {
    change_superblock(copy,
                      [](format::Superblock& superblock) { superblock.features_may_ignore = 4; });
  }
  ASSERT_OK(try_open());
}

TEST_F(Open, KeyNeeded) {
  disk_ = std::make_shared<MemoryDisk>(std::size_t{4} << 20U);
  CreateOptions options;
  options.data_key = pattern(32, 1);
  MemoryDevice fresh(disk_);
  ASSERT_OK(create_image(fresh, options));
  EXPECT_KIND(try_open(), key_needed);
}

// Whoever can write to the device could put one there.
TEST_F(Open, APlainImageIsRefusedWhereAKeyIsGiven) {
  create({});
  OpenOptions options = inline_options();
  options.keys = KeyRing::of_data_key(pattern(32, 1));
  EXPECT_KIND(try_open(options), wrong_key);
  options.access = Access::read_only;
  EXPECT_KIND(try_open(options), wrong_key);
  options.keys.accept_plain();
  ASSERT_OK(try_open(options));
}

TEST_F(Open, CorruptWhenTheDeviceIsCutOff) {
  create({});
  disk_->bytes().resize(std::size_t{3} << 20U);
  EXPECT_KIND(try_open(), corrupt);
}

TEST_F(Open, CorruptWhenTheGeometryIsImpossible) {
  create({});
  for (const unsigned copy : {0U, 1U}) {
    change_superblock(
        copy, [](format::Superblock& superblock) { superblock.ring_block_count = 1U << 30U; });
  }
  EXPECT_KIND(try_open(), corrupt);
}

TEST_F(Open, InUseNamesTheOwner) {
  create({});
  auto owner = open();
  const auto second = try_open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind(), ErrorKind::in_use);
  EXPECT_NE(second.error().cause().find(std::to_string(::getpid())), std::string::npos);
}

// A device whose lock keeps nobody out, as that of a file does not keep out who uses a loop device.
class Unlockable final : public ForwardingDevice {
public:
  using ForwardingDevice::ForwardingDevice;
  Status lock_for_writing() override { return {}; }
};

TEST_F(Open, WhereNoLockHelpsTheEpochStopsTheFirstOwner) {
  create({spec("a", 100)});
  MemoryDevice disk(disk_);
  auto first = *Store::open(std::make_unique<Unlockable>(disk), inline_options());
  ASSERT_OK(first->write("a", bytes("first")));
  auto second = *Store::open(std::make_unique<Unlockable>(disk), inline_options());
  EXPECT_KIND(first->write("a", bytes("lost")), in_use);
  EXPECT_KIND(first->write("a", bytes("lost")), poisoned);
  ASSERT_OK(second->write("a", bytes("second")));
  EXPECT_FALSE(first->close().ok());
  ASSERT_OK(second->close());
  EXPECT_EQ(*open_read_only()->read("a"), bytes("second"));
}

TEST_F(Open, ARefusalWritesNothing) {
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("x")));
  flip(100);
  flip(block_size_bytes + 100);
  const Bytes before = disk_->bytes();
  EXPECT_KIND(try_open(), corrupt);
  EXPECT_EQ(disk_->bytes(), before);
}

TEST_F(Open, ADamagedRecordWithAWholeOneBehindItIsCorruptNotARollBack) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("one")));
  ASSERT_OK(store->write("a", bytes("two")));
  ASSERT_OK(store->write("a", bytes("three")));
  forget_owner();
  flip(record_offset(1) + 200);
  EXPECT_KIND(try_open(), corrupt);
  OpenOptions read_only = inline_options();
  read_only.access = Access::read_only;
  EXPECT_KIND(try_open(read_only), corrupt);
}

TEST_F(Open, ATornLastRecordIsTheEnd) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("one")));
  ASSERT_OK(store->write("a", bytes("two")));
  forget_owner();
  flip(record_offset(1) + 200);
  EXPECT_EQ(*open()->read("a"), bytes("one"));
}

TEST_F(Open, ARottenSuperblockAfterAnEpochBeganLosesNothing) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("acknowledged")));
  forget_owner();
  for (const unsigned copy : {0U, 1U}) {
    const Bytes before = disk_->bytes();
    flip((copy * block_size_bytes) + 60);
    EXPECT_EQ(*open_read_only()->read("a"), bytes("acknowledged"));
    disk_->bytes() = before;
  }
}

TEST_F(Open, ReadOnlyWritesNothing) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("x")));
  const Bytes before = disk_->bytes();
  {
    auto reader = open_read_only();
    EXPECT_EQ(*reader->read("a"), bytes("x"));
    EXPECT_KIND(reader->write("a", bytes("y")), read_only);
    const BlobSpec more[] = {spec("b", 1)};
    EXPECT_KIND(reader->register_blobs(more), read_only);
  }
  EXPECT_EQ(disk_->bytes(), before);
}

TEST_F(Open, TwoStoresInOneProcessKeepApart) {
  create({spec("a", 100)});
  auto first = open();
  const auto first_disk = disk_;
  create({spec("a", 100)});
  auto second = open();
  ASSERT_OK(first->write("a", bytes("first")));
  ASSERT_OK(second->write("a", bytes("second")));
  EXPECT_EQ(*first->read("a"), bytes("first"));
  EXPECT_NE(first->info().uuid, second->info().uuid);
}

TEST_F(Open, EveryErrorNamesTheImageAndTheBlob) {
  create({spec("a", 100)});
  auto store = open();
  BlobSpec other_type = spec("a", 100);
  other_type.type = "other";
  const BlobSpec mismatch[] = {other_type};
  Bytes range(101);
  for (const Status& failed : {store->write("a", Bytes(101)), store->register_blobs(mismatch),
                               store->read_range("a", 0, range)}) {
    ASSERT_FALSE(failed.ok());
    EXPECT_TRUE(failed.error().cause().starts_with("memory: blob a: ")) << failed.error().text();
  }
  for (const Status& failed :
       {store->write("b", {}), store->remove_blob("b"), Status(store->read("b").error()),
        Status(store->blob("b").error())}) {
    ASSERT_FALSE(failed.ok());
    EXPECT_TRUE(failed.error().cause().starts_with("memory: no blob b")) << failed.error().text();
  }
}

} // namespace
} // namespace vnvram
