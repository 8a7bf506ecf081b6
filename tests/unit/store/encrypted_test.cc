// Encrypted images: who has the key reads and writes them as any other, and nobody else reads or
// forges anything.
#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>

#include "format/checksum.h"
#include "format/superblock.h"
#include "store/superblock_reader.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"
#include "vnvram/key.h"
#include "vnvram/rescue.h"

namespace vnvram {
namespace {

using test::TemporaryDirectory;

const Bytes data_key = pattern(32, 99);

class EncryptedTest : public StoreFixture {
protected:
  void create_encrypted(std::vector<BlobSpec> blobs, std::uint64_t size_bytes = 4U << 20U) {
    disk_ = std::make_shared<MemoryDisk>(size_bytes);
    CreateOptions options;
    options.data_key = data_key;
    for (BlobSpec& blob : blobs) {
      options.blobs.push_back({std::move(blob), std::nullopt});
    }
    MemoryDevice fresh(disk_);
    ASSERT_OK(create_image(fresh, options));
  }
  [[nodiscard]] static OpenOptions with_key(const Bytes& key = data_key) {
    OpenOptions options = inline_options();
    options.keys = KeyRing::of_data_key(key);
    return options;
  }
  [[nodiscard]] bool holds(std::string_view text) const {
    const auto wanted = std::as_bytes(std::span(text));
    return std::search(disk_->bytes().begin(), disk_->bytes().end(), wanted.begin(),
                       wanted.end()) != disk_->bytes().end();
  }
  [[nodiscard]] CheckReport check() {
    MemoryDevice there(disk_, Access::read_only);
    auto report = check_image(there, {}, KeyRing::of_data_key(data_key));
    EXPECT_TRUE(report.ok()) << (report ? "" : report.error().text());
    return report ? *report : CheckReport();
  }
};

TEST_F(EncryptedTest, WhatIsWrittenIsThereForWhoHasTheKey) {
  create_encrypted({spec("a", 5000), spec("b", 300000)});
  {
    const auto store = open(with_key());
    EXPECT_TRUE(store->info().encrypted);
    ASSERT_OK(store->write("a", bytes("first")));
    ASSERT_OK(store->checkpoint());
    ASSERT_OK(store->write("b", pattern(300000, 1)));
    ASSERT_OK(store->write_range("b", 4090, pattern(20, 2)));
  }
  Bytes wanted = pattern(300000, 1);
  std::ranges::copy(pattern(20, 2), wanted.begin() + 4090);
  const auto store = open(with_key());
  EXPECT_EQ(store->read("a").value(), bytes("first"));
  EXPECT_EQ(store->read("b").value(), wanted);
  ASSERT_OK(store->close());
  EXPECT_TRUE(check().clean());
}

TEST_F(EncryptedTest, RecordsOfADeadOwnerAreReplayed) {
  create_encrypted({spec("a", 9000)});
  auto store = open(with_key());
  for (unsigned i = 0; i < 20; ++i) {
    ASSERT_OK(store->write("a", pattern(9000, i)));
  }
  forget_owner();
  EXPECT_EQ(open(with_key())->read("a").value(), pattern(9000, 19));
}

TEST_F(EncryptedTest, WithoutItsKeyItIsRefusedAndNothingChanges) {
  create_encrypted({spec("a", 5000)});
  const std::vector<std::byte> before = disk_->copy();
  EXPECT_KIND(try_open(), key_needed);
  EXPECT_KIND(try_open(with_key(pattern(32, 1))), wrong_key);
  OpenOptions reading = inline_options();
  reading.access = Access::read_only;
  EXPECT_KIND(try_open(reading), key_needed);
  MemoryDevice there(disk_);
  EXPECT_KIND(check_image(there), key_needed);
  EXPECT_KIND(repair_image(there), key_needed);
  EXPECT_KIND(resize_image(there, 0), key_needed);
  EXPECT_KIND(create_image(there, {}), exists);
  EXPECT_EQ(disk_->copy(), before);
}

TEST_F(EncryptedTest, NothingOfItsContentCanBeRead) {
  create_encrypted({spec("very-secret-name", 5000), spec("other-secret-name", 60000)});
  {
    const auto store = open(with_key());
    for (int i = 0; i < 30; ++i) {
      ASSERT_OK(store->write("very-secret-name", bytes("a secret that is written often")));
      ASSERT_OK(store->write("other-secret-name", Bytes(60000, std::byte{'S'})));
      ASSERT_OK(store->checkpoint());
    }
    ASSERT_OK(store->write("other-secret-name", {}));
    ASSERT_OK(store->remove_blob("very-secret-name"));
  }
  EXPECT_FALSE(holds("secret-n"));
  EXPECT_FALSE(holds("a secret"));
  EXPECT_FALSE(holds("unit tes")); // The producer.
  EXPECT_FALSE(holds("SSSSSSSS"));
  // Nor is anything there twice.
  std::set<std::array<std::byte, 16>> seen;
  const auto& all = disk_->bytes();
  const std::size_t image_end = all.size() - (std::size_t{8} * block_size_bytes);
  for (std::size_t at = std::size_t{format::ring_start_block} * block_size_bytes; at < image_end;
       at += 64) {
    std::array<std::byte, 16> part{};
    std::copy_n(&all[at], part.size(), part.begin());
    EXPECT_TRUE(seen.insert(part).second) << at;
  }
}

TEST_F(EncryptedTest, ASuperblockOfSomebodyWithoutTheKeyIsRefused) {
  create_encrypted({spec("a", 5000)});
  std::vector<std::byte> forged = disk_->copy();
  for (unsigned copy = 0; copy < 2; ++copy) {
    format::Superblock superblock{};
    std::byte* const there = &forged[copy * block_size_bytes];
    std::memcpy(&superblock, there, sizeof(superblock));
    superblock.epoch_number += 1;
    superblock.checksum =
        format::checksum(std::as_bytes(std::span(&superblock, 1)).first(block_size_bytes - 8), 0);
    std::memcpy(there, &superblock, sizeof(superblock));
  }
  disk_ = std::make_shared<MemoryDisk>(forged);
  EXPECT_KIND(try_open(with_key()), corrupt);
  EXPECT_EQ(disk_->copy(), forged);
}

TEST_F(EncryptedTest, ItGrows) {
  create_encrypted({spec("a", 5000)}, std::uint64_t{3} << 20U);
  {
    const auto store = open(with_key());
    ASSERT_OK(store->write("a", bytes("kept")));
  }
  MemoryDevice there(disk_);
  ASSERT_OK(resize_image(there, std::uint64_t{8} << 20U, KeyRing::of_data_key(data_key)));
  const auto store = open(with_key());
  EXPECT_EQ(store->read("a").value(), bytes("kept"));
  ASSERT_OK(store->register_blobs(std::vector<BlobSpec>{spec("large", std::uint64_t{1} << 19U)}));
  ASSERT_OK(store->write("large", pattern(std::size_t{1} << 19U, 3)));
  ASSERT_OK(store->close());
  EXPECT_TRUE(check().clean());
}

TEST_F(EncryptedTest, OneFlippedBitIsMended) {
  create_encrypted({spec("a", 5000)});
  {
    const auto store = open(with_key());
    ASSERT_OK(store->write("a", pattern(5000, 5)));
  }
  const std::vector<std::byte> whole = disk_->copy();
  const auto superblock = [&] {
    MemoryDevice there(disk_, Access::read_only);
    return find_superblock(there).value();
  }();
  const format::Geometry geometry = format::geometry_of(superblock);
  unsigned found = 0;
  for (const std::uint64_t block :
       {geometry.page_block(1, 0), geometry.page_block(1, 1), geometry.leaf_block(0, 0),
        geometry.leaf_block(0, 1), std::uint64_t{18}, std::uint64_t{19}}) {
    std::vector<std::byte> rotten = whole;
    rotten[block * block_size_bytes + 77] ^= std::byte{0x20};
    disk_ = std::make_shared<MemoryDisk>(rotten);
    if (check().clean()) {
      continue; // The slot that nothing depends on.
    }
    ++found;
    MemoryDevice there(disk_);
    const auto report = repair_image(there, false, {}, KeyRing::of_data_key(data_key));
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->sound) << block;
    EXPECT_EQ(disk_->copy(), whole) << block;
  }
  EXPECT_EQ(found, 3U);
}

TEST_F(EncryptedTest, WhatIsSalvagedIsNotPlainUnlessSomebodySaysSo) {
  create_encrypted({spec("a", 5000)});
  {
    const auto store = open(with_key());
    ASSERT_OK(store->write("a", bytes("secret")));
  }
  const TemporaryDirectory folder;
  MemoryDevice there(disk_, Access::read_only);
  SalvageOptions options;
  options.keys = KeyRing::of_data_key(data_key);
  EXPECT_KIND(salvage_image(there, folder.path("out"), options), invalid_argument);
  options.data_key = data_key;
  ASSERT_TRUE(salvage_image(there, folder.path("out"), options).ok());
  OpenOptions reading = with_key();
  reading.access = Access::read_only;
  const auto out = Store::open(open_device(folder.path("out"), Access::read_only).value(), reading);
  ASSERT_TRUE(out.ok());
  EXPECT_TRUE((*out)->info().encrypted);
  EXPECT_EQ((*out)->read("a").value(), bytes("secret"));
}

// Blobs that a plain image of that size would hold, and the table of an encrypted one cannot.
TEST_F(EncryptedTest, MoreThanItsTableHoldsIsRefusedBeforeAnythingIsMade) {
  std::vector<BlobSpec> blobs;
  for (int i = 0; i < 6; ++i) {
    blobs.push_back(spec("b" + std::to_string(i), blob_size_max_bytes));
  }
  EXPECT_OK(required_size_bytes(blobs));
  EXPECT_KIND(required_size_bytes(blobs, 0, true), invalid_argument);
}

} // namespace
} // namespace vnvram
