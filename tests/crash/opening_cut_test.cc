// Openings that are cut where it hurts most: the owner before has died with its last superblock in
// the cache only. Who overwrites what the superblock on the disk names, and is cut, has destroyed
// it.
#include <string>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "support/crash_state.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

// More than a small cache.
constexpr std::uint64_t large_blob_size_bytes = std::uint64_t{300} << 10U;
constexpr std::uint64_t opened_image_size_bytes = std::uint64_t{4} << 20U;

std::vector<std::byte> content(unsigned version) {
  return Random(version).bytes(large_blob_size_bytes);
}

/// A disk whose newest superblock is pending, with homes that only this one names and a record
/// behind it. Holds content(3).
std::shared_ptr<SimulatedDisk> disk_of_a_dead_owner() {
  auto disk = std::make_shared<SimulatedDisk>(std::vector<std::byte>(opened_image_size_bytes));
  CreateOptions create;
  create.ring_size_bytes = std::uint64_t{2} << 20U;
  create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = large_blob_size_bytes},
                   .content = {}}};
  SimulatedDevice device(disk);
  EXPECT_TRUE(create_image(device, create).ok());
  OpenOptions options = deterministic_options();
  options.cache_size_bytes = cache_size_default_bytes;
  const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), options);
  EXPECT_TRUE(store.ok());
  EXPECT_TRUE((*store)->write("a", content(1)).ok());
  EXPECT_TRUE((*store)->checkpoint().ok());
  EXPECT_TRUE((*store)->write("a", content(2)).ok());
  bool committed = false;
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::write && !committed) {
      committed = true; // Inside the checkpoint, so that its superblock does not hold it.
      EXPECT_TRUE((*store)->write("a", content(3)).ok());
      disk->fail(OperationKind::write_durable, 1);
    }
  });
  EXPECT_FALSE((*store)->checkpoint().ok());
  disk->set_hook({});
  EXPECT_TRUE(committed && disk->failed() && !disk->pending().empty());
  return disk;
}

/// At every operation but plain writes, and at one in eight of these.
void expect_content_at_every_cut_of_an_opening(std::uint64_t cache_size_bytes) {
  const auto disk = disk_of_a_dead_owner();
  std::uint64_t images = 0;
  std::uint64_t writes = 0;
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read || testing::Test::HasFailure() ||
        (operation.kind == OperationKind::write && writes++ % 8 != 7)) {
      return;
    }
    const CrashState state(*disk, &operation);
    for (std::uint64_t choice = 0; choice < 4; ++choice) {
      const std::string where =
          "operation " + std::to_string(operation.number) + " choice " + std::to_string(choice);
      const auto image = std::make_shared<SimulatedDisk>(state.power_cut({.number = choice}, 16));
      ++images;
      const auto store =
          Store::open(std::make_unique<SimulatedDevice>(image), deterministic_options());
      ASSERT_TRUE(store.ok()) << where << ": " << store.error().text();
      const auto read = (*store)->read("a");
      ASSERT_TRUE(read.ok()) << where << ": " << read.error().text();
      EXPECT_TRUE(*read == content(3)) << where;
    }
  });
  OpenOptions options = deterministic_options();
  options.cache_size_bytes = cache_size_bytes;
  const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), options);
  disk->set_hook({});
  fmt::print("opening with a cache of {} bytes: {} images\n", cache_size_bytes, images);
  ASSERT_TRUE(store.ok()) << store.error().text();
  EXPECT_GT(writes, 70U);
  EXPECT_GT(images, 30U);
}

TEST(OpeningCutTest, Invariant4HoldsWhenASuperblockIsInTheCacheOnly) {
  expect_content_at_every_cut_of_an_opening(cache_size_default_bytes);
}

TEST(OpeningCutTest, Invariant4HoldsWhenRecoveryWritesACheckpointOnItsWay) {
  expect_content_at_every_cut_of_an_opening(cache_size_min_bytes);
}

} // namespace
} // namespace vnvram::test
