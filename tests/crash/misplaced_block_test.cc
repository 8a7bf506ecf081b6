// Blocks that are whole and do not belong where they are: of an earlier time, of another owner, of
// the image that was there before, or made by someone. What the crash tests cannot tell: no cut
// leaves them.
#include <algorithm>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "device/memory_device.h"
#include "format/all_zero.h"
#include "format/checksum.h"
#include "format/codec.h"
#include "format/geometry.h"
#include "format/record_view.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;

std::span<std::byte> block_of(Image& image, std::uint64_t block) {
  return std::span(image).subspan(block * block_size_bytes, block_size_bytes);
}

format::Superblock current_superblock(const Image& image) {
  std::array<format::Superblock, format::superblock_count> copies;
  std::memcpy(copies.data(), image.data(), sizeof(copies));
  return copies[copies[0].sequence > copies[1].sequence ? 0 : 1];
}

format::Codec codec_of(const Image& image) {
  const format::Superblock superblock = current_superblock(image);
  if ((superblock.features_must_know & format::feature_encrypted) == 0) {
    return format::Codec(superblock);
  }
  return {superblock, format::ImageKeys::derive(data_key(), superblock.uuid).value()};
}

/// Where the ring has the record of this generation and of the current epoch; 0: nowhere.
std::uint64_t find_record(Image& image, std::uint64_t generation) {
  const format::Superblock superblock = current_superblock(image);
  for (std::uint32_t position = 0; position < superblock.ring_block_count; ++position) {
    const std::uint64_t block = format::Geometry::ring_block(position);
    const auto header = format::peek_record(block_of(image, block), superblock.ring_block_count);
    if (header && header->sequence == generation &&
        header->epoch_random == superblock.epoch_random) {
      return block;
    }
  }
  return 0;
}

Result<std::unique_ptr<Store>> open(const Image& image, Access access = Access::read_write) {
  OpenOptions options = deterministic_options();
  options.access = access;
  return Store::open(std::make_unique<MemoryDevice>(std::make_shared<MemoryDisk>(image), access),
                     options);
}

void expect_state(const Image& image, const StoreState& state) {
  for (const Access access : {Access::read_only, Access::read_write}) {
    const auto store = open(image, access);
    ASSERT_TRUE(store.ok()) << store.error().text();
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_TRUE(*found == state) << state.difference(*found);
  }
}

void expect_corrupt(const Image& image) {
  for (const Access access : {Access::read_only, Access::read_write}) {
    const auto store = open(image, access);
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.error().kind(), ErrorKind::corrupt) << store.error().text();
  }
}

Status write_some(Store& store, unsigned seed) {
  Transaction transaction;
  transaction.write_range("blob0", 100, Random(seed).bytes(50));
  return store.commit(transaction);
}

/// Of plain images and of encrypted ones.
class MisplacedBlockTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Images, MisplacedBlockTest, testing::Bool(),
                         [](const auto& image) { return image.param ? "encrypted" : "plain"; });

// An owner that was overtaken may still have a record in flight: it lands in the ring after the new
// owner has begun its epoch, with a generation that the new owner has not reached.
TEST_P(MisplacedBlockTest, LateRecordsOfAnEarlierEpochNeitherCountNorLookLikeDamage) {
  const auto first_disk = std::make_shared<MemoryDisk>(closed_image(GetParam()).bytes);
  const auto first =
      Store::open(std::make_unique<MemoryDevice>(first_disk), deterministic_options());
  ASSERT_TRUE(first.ok() && write_some(**first, 1).ok());
  const Image overtaken = first_disk->bytes();
  const auto second_disk = std::make_shared<MemoryDisk>(overtaken);
  const auto second =
      Store::open(std::make_unique<MemoryDevice>(second_disk), deterministic_options());
  ASSERT_TRUE(second.ok() && write_some(**second, 2).ok());
  const Result<StoreState> state = StoreState::capture(**second);
  ASSERT_TRUE(state.ok());
  for (unsigned seed = 3; seed < 6; ++seed) {
    ASSERT_TRUE(write_some(**first, seed).ok());
  }

  Image image = second_disk->bytes();
  unsigned late_blocks = 0;
  for (std::uint32_t i = 0; i < current_superblock(image).ring_block_count; ++i) {
    const std::uint64_t block = format::Geometry::ring_block(i);
    const std::size_t offset_bytes = block * block_size_bytes;
    if (std::memcmp(&first_disk->bytes()[offset_bytes], &overtaken[offset_bytes],
                    block_size_bytes) != 0) {
      std::ranges::copy(block_of(first_disk->bytes(), block), block_of(image, block).begin());
      ++late_blocks;
    }
  }
  EXPECT_EQ(late_blocks, 3U);
  expect_state(image, *state);
}

// Every field and every checksum is right: only the predecessor is another one. To replay both
// would make a state that never was.
TEST_P(MisplacedBlockTest, ARecordBehindAnotherPredecessorThanItsOwnIsNotReplayed) {
  Image image = interrupted_image(GetParam()).bytes;
  const auto reader = open(image, Access::read_only);
  ASSERT_TRUE(reader.ok()) << reader.error().text();
  const std::uint64_t block = find_record(image, (*reader)->info().generation - 1);
  ASSERT_NE(block, 0U);
  const std::span<std::byte> record = block_of(image, block);
  const format::Codec codec = codec_of(image);
  ASSERT_TRUE(codec.open_record(record));
  format::RecordHeader header{};
  std::memcpy(&header, record.data(), sizeof(header));
  ASSERT_EQ(header.block_count, 1U);
  record[header.used_bytes - 1] ^= std::byte{1};
  ASSERT_TRUE(codec.finish_record(record));
  expect_corrupt(image);
}

TEST_P(MisplacedBlockTest, AnOldRecordInTheNextPlaceIsNotReplayed) {
  const ExampleImage good = interrupted_image(GetParam());
  Image image = good.bytes;
  const auto reader = open(image, Access::read_only);
  ASSERT_TRUE(reader.ok()) << reader.error().text();
  const std::uint64_t generation = (*reader)->info().generation;
  const std::uint64_t newest = find_record(image, generation);
  for (std::uint64_t older = 0; older < 3; ++older) {
    const std::uint64_t block = find_record(image, generation - older);
    ASSERT_NE(block, 0U);
    std::ranges::copy(block_of(image, block), block_of(image, newest + 1).begin());
    expect_state(image, good.state);
  }
}

// Each block of the homes and the table as it was at an earlier checkpoint, in its own place:
// sealed with the same key, and whole.
TEST_P(MisplacedBlockTest, AnOlderBlockInItsOwnPlaceIsNoticed) {
  const auto disk = std::make_shared<MemoryDisk>(closed_image(GetParam()).bytes);
  const Image before = disk->bytes();
  StoreState state;
  {
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
    ASSERT_TRUE(store.ok()) << store.error().text();
    for (unsigned seed = 0; seed < 2; ++seed) { // So that the slot is used again.
      ASSERT_TRUE(write_some(**store, seed) && (*store)->checkpoint());
    }
    state = StoreState::capture(**store).value();
    ASSERT_TRUE((*store)->close().ok());
  }
  const Image after = disk->bytes();
  unsigned noticed = 0;
  for (std::uint64_t block = current_superblock(after).zones_start_block;
       block < after.size() / block_size_bytes; ++block) {
    Image image = after;
    std::ranges::copy(std::span(before).subspan(block * block_size_bytes, block_size_bytes),
                      block_of(image, block).begin());
    if (image == after) {
      continue;
    }
    SCOPED_TRACE("block " + std::to_string(block));
    const auto store = open(image, Access::read_only);
    const Result<StoreState> found = store ? StoreState::capture(**store) : store.error();
    if (found) {
      EXPECT_TRUE(*found == state) << state.difference(*found);
      continue;
    }
    EXPECT_EQ(found.error().kind(), ErrorKind::corrupt) << found.error().text();
    ++noticed;
  }
  EXPECT_GT(noticed, 0U);
}

/// XXH3 multiplies the two halves of each 8 bytes, mixed with a key, and adds the 8 bytes to a
/// neighbour's sum. Where the key is known one half can be made zero: the product is, too, and the
/// other half only adds. These are the keys of seed 0 for bytes 0 and 64; two contents with
/// `one` and `other` exchanged have the same checksum.
Image forged_page(std::uint32_t one, std::uint32_t other) {
  constexpr std::array<std::uint32_t, 2> keys = {0x396cfeb8, 0x2c81017c};
  Image page(block_size_bytes, std::byte{0x77});
  std::memcpy(&page[0], &keys[0], 4);
  std::memcpy(&page[4], &one, 4);
  std::memcpy(&page[64], &keys[1], 4);
  std::memcpy(&page[68], &other, 4);
  return page;
}

// A guest chooses its bytes. If it could choose two contents with one checksum, an old block would
// pass for the new one.
TEST(ForgedContentTest, AGuestCannotForgeContentsForWhichAStaleBlockPasses) {
  const Image before = forged_page(1, 2);
  const Image after = forged_page(2, 1);
  ASSERT_NE(before, after);
  ASSERT_EQ(format::checksum(before, 0), format::checksum(after, 0));

  const auto disk = std::make_shared<MemoryDisk>(std::uint64_t{384} << 10U);
  CreateOptions create;
  create.ring_size_bytes = std::uint64_t{64} << 10U;
  create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = block_size_bytes},
                   .content = before}};
  MemoryDevice fresh(disk);
  ASSERT_TRUE(create_image(fresh, create).ok());
  {
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
    ASSERT_TRUE(store.ok()) << store.error().text();
    ASSERT_TRUE((*store)->write("a", after).ok());
    ASSERT_TRUE((*store)->close().ok());
  }
  Image& image = disk->bytes();
  const std::uint64_t homes = current_superblock(image).zones_start_block;
  unsigned found = 0;
  for (std::uint64_t block = homes; block < image.size() / block_size_bytes; ++block) {
    if (std::ranges::equal(block_of(image, block), after)) {
      std::ranges::copy(before, block_of(image, block).begin());
      ++found;
    }
  }
  ASSERT_EQ(found, 1U);
  const auto store = open(image);
  ASSERT_TRUE(store.ok()) << store.error().text();
  const auto read = (*store)->read("a");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().kind(), ErrorKind::corrupt) << read.error().text();
}

struct Recreated {
  Image before;
  Image after;
  StoreState state;
};

Recreated recreate(bool encrypted) {
  Recreated result{.before = interrupted_image(encrypted).bytes, .after = {}, .state = {}};
  const auto disk = std::make_shared<MemoryDisk>(result.before);
  CreateOptions create;
  create.force = true;
  if (encrypted) {
    create.data_key = data_key();
  }
  create.ring_size_bytes = std::uint64_t{64} << 10U;
  create.blobs = {{.spec = {.name = "blob0", .type = "example", .size_max_bytes = 6000},
                   .content = Random(9).bytes(300)}};
  MemoryDevice device(disk);
  EXPECT_TRUE(create_image(device, create).ok());
  result.after = disk->bytes();
  result.state.register_blob(create.blobs.front().spec);
  Transaction content;
  content.write("blob0", *create.blobs.front().content);
  result.state.apply(content);
  return result;
}

TEST_P(MisplacedBlockTest, ANewImageShowsNothingOfTheOneThatWasThere) {
  Recreated image = recreate(GetParam());
  for (std::uint64_t block = 0; block < image.after.size() / block_size_bytes; ++block) {
    EXPECT_TRUE(format::all_zero(block_of(image.after, block)) ||
                !std::ranges::equal(block_of(image.after, block), block_of(image.before, block)))
        << "block " << block << " is still there";
  }
}

// As if nothing that create wiped had reached the disk: the old content is there, but for what the
// new image has written since.
TEST_P(MisplacedBlockTest, TheOldContentUnderANewImageDoesNotCount) {
  Recreated image = recreate(GetParam());
  for (std::uint64_t block = 0; block < image.after.size() / block_size_bytes; ++block) {
    if (format::all_zero(block_of(image.after, block))) {
      std::ranges::copy(block_of(image.before, block), block_of(image.after, block).begin());
    }
  }
  expect_state(image.after, image.state);
}

} // namespace
} // namespace vnvram::test
