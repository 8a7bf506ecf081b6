// Blobs in several pieces, and the largest records that they can need.
#include "format/geometry.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class LargeBlob : public StoreFixture {};

// Its pages are 5, 9 and 7: as far apart as three in a row would be.
TEST_F(LargeBlob, PagesInAnyOrderAreComparedWithTheirOwnContent) {
  std::vector<BlobSpec> specs;
  for (int i = 1; i <= 8; ++i) {
    specs.push_back(spec("b" + std::to_string(i), block_size_bytes));
  }
  create(specs);
  auto store = open();
  const Bytes neighbour = pattern(block_size_bytes, 1);
  ASSERT_OK(store->write("b6", neighbour));
  const BlobSpec two[] = {spec("b5", 2 * block_size_bytes)};
  ASSERT_OK(store->register_blobs(two));
  ASSERT_OK(store->remove_blob("b7"));
  const BlobSpec three[] = {spec("b5", 3 * block_size_bytes)};
  ASSERT_OK(store->register_blobs(three));
  ASSERT_OK(store->write("b5", Bytes(3 * block_size_bytes)));

  Bytes content = pattern(3 * block_size_bytes, 2);
  std::copy(neighbour.begin(), neighbour.end(), content.begin() + block_size_bytes);
  content[block_size_bytes + 100] ^= std::byte{1};
  ASSERT_OK(store->write("b5", content));
  EXPECT_EQ(*store->read("b5"), content);
  EXPECT_EQ(*store->read("b6"), neighbour);
  forget_owner();
  EXPECT_EQ(*open()->read("b5"), content);
}

// One equal byte at the end of each page splits the change into the most extents for its size.
TEST_F(LargeBlob, EveryRewriteFitsTheSmallestRingThatTakesTheBlob) {
  for (const std::uint64_t size : {std::uint64_t{540672}, std::uint64_t{2} << 20U,
                                   (std::uint64_t{3} << 20U) + 1234, blob_size_max_bytes}) {
    const std::uint64_t ring_bytes =
        std::uint64_t{2} * format::Geometry::record_blocks_for(size) * block_size_bytes;
    create({spec("a", size)}, *required_size_bytes(std::vector{spec("a", size)}), ring_bytes);
    auto store = open();
    EXPECT_GE(store->info().blob_size_max_bytes, size / block_size_bytes * block_size_bytes);
    const Bytes before = pattern(size, 1);
    Bytes after = before;
    for (std::size_t i = 0; i < after.size(); ++i) {
      after[i] ^= i % block_size_bytes == block_size_bytes - 1 ? std::byte{0} : std::byte{1};
    }
    ASSERT_OK(store->write("a", before));
    ASSERT_OK(store->write("a", after));
    EXPECT_TRUE(*store->read("a") == after);
  }
}

TEST_F(LargeBlob, TheLargestSizeThatTheStoreNamesCanBeRegistered) {
  for (const std::uint64_t ring_bytes : {std::uint64_t{64} << 10U, std::uint64_t{2} << 20U,
                                         std::uint64_t{20} << 20U, std::uint64_t{40} << 20U}) {
    create({}, std::uint64_t{80} << 20U, ring_bytes);
    auto store = open();
    const std::uint64_t size = store->info().blob_size_max_bytes;
    const BlobSpec largest[] = {spec("a", size)};
    ASSERT_OK(store->register_blobs(largest));
    if (size < blob_size_max_bytes) {
      const BlobSpec more[] = {spec("b", size + block_size_bytes)};
      EXPECT_KIND(store->register_blobs(more), too_large);
    }
  }
}

} // namespace
} // namespace vnvram
