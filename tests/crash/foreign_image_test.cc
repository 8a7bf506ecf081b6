// Invariant 6: no path but create writes to an image that is not ours.
#include <cstring>
#include <string>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "format/layout.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

struct NotOurs {
  std::string name;
  std::vector<std::byte> bytes;
};

std::vector<NotOurs> images_that_are_not_ours() {
  constexpr std::size_t size = std::size_t{384} << 10U;
  std::vector<NotOurs> list;
  list.push_back({"blank", std::vector<std::byte>(size)});
  list.push_back({"empty", {}});
  list.push_back({"random", Random(1).bytes(size)});
  std::vector<std::byte> behind(size);
  behind.back() = std::byte{1};
  list.push_back({"something only at the end", behind});
  // Ours, and damaged so that nothing may be written before a person has looked.
  std::vector<std::byte> both = interrupted_image().bytes;
  both.at(100) ^= std::byte{1};
  both.at(block_size_bytes + 100) ^= std::byte{1};
  list.push_back({"both superblocks damaged", both});
  std::vector<std::byte> cut = closed_image().bytes;
  cut.resize(cut.size() / 2);
  list.push_back({"cut off", cut});
  std::vector<std::byte> wiped = closed_image().bytes;
  std::fill_n(wiped.begin(), 2 * block_size_bytes, std::byte{0});
  list.push_back({"superblocks wiped", wiped});
  return list;
}

std::uint64_t changes(const SimulatedDisk& disk) {
  return disk.count(OperationKind::write) + disk.count(OperationKind::write_durable) +
         disk.count(OperationKind::resize);
}

TEST(ForeignImageTest, Invariant6NothingButCreateWritesToWhatIsNotOurs) {
  for (const NotOurs& image : images_that_are_not_ours()) {
    SCOPED_TRACE(image.name);
    const auto disk = std::make_shared<SimulatedDisk>(image.bytes);
    OpenOptions options = deterministic_options();
    options.blobs = {{.name = "a", .type = "test", .size_max_bytes = 100}};
    EXPECT_FALSE(Store::open(std::make_unique<SimulatedDevice>(disk), options).ok());
    options.access = Access::read_only;
    EXPECT_FALSE(
        Store::open(std::make_unique<SimulatedDevice>(disk, Access::read_only), options).ok());
    SimulatedDevice device(disk);
    (void)check_image(device);
    EXPECT_FALSE(resize_image(device, std::uint64_t{1} << 20U).ok());
    EXPECT_EQ(changes(*disk), 0U);
    EXPECT_EQ(disk->cache() == image.bytes, true);
    // And the lock is free again.
    EXPECT_TRUE(SimulatedDevice(disk).lock_for_writing().ok());
  }
}

TEST(ForeignImageTest, Invariant6CreateWritesToNothingThatIsNotBlankUnlessForced) {
  std::vector<NotOurs> list = images_that_are_not_ours();
  list.push_back({"ours", closed_image().bytes});
  for (const NotOurs& image : list) {
    if (image.name == "blank" || image.name == "empty") {
      continue;
    }
    SCOPED_TRACE(image.name);
    const auto disk = std::make_shared<SimulatedDisk>(image.bytes);
    SimulatedDevice device(disk);
    const Status status = create_image(device, {});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind(), ErrorKind::exists) << status.error().text();
    EXPECT_EQ(changes(*disk), 0U);
    EXPECT_EQ(disk->cache() == image.bytes, true);
  }
}

/// While a forced create runs, and after it: the old store as it was, or the new one, or no store;
/// never a mixture, and never the old one after the new one was there.
TEST(ForeignImageTest, AForcedCreateThatIsCutLeavesTheOldStoreOrTheNewOneOrNone) {
  const ExampleImage old = interrupted_image();
  CreateOptions create;
  create.force = true;
  create.ring_size_bytes = std::uint64_t{64} << 10U;
  create.blobs = {{.spec = {.name = "new", .type = "test", .size_max_bytes = 300},
                   .content = Random(2).bytes(300)}};
  StoreState fresh;
  fresh.register_blob(create.blobs.front().spec);
  Transaction content;
  content.write("new", *create.blobs.front().content);
  fresh.apply(content);

  const auto disk = std::make_shared<SimulatedDisk>(old.bytes);
  const std::uint64_t ring_end_block =
      format::ring_start_block + (create.ring_size_bytes / block_size_bytes);
  std::uint64_t images = 0;
  const auto look = [&](const std::vector<std::byte>& image, bool done, const std::string& where) {
    ++images;
    const auto store =
        Store::open(std::make_unique<SimulatedDevice>(std::make_shared<SimulatedDisk>(image)),
                    deterministic_options());
    if (!store) {
      EXPECT_FALSE(done) << where << ": " << store.error().text();
      EXPECT_NE(store.error().kind(), ErrorKind::io) << where;
      return;
    }
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_TRUE(found.ok()) << where << ": " << found.error().text();
    EXPECT_TRUE(*found == fresh || (!done && *found == old.state)) << where << ": a mixture";
  };
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read || testing::Test::HasFailure()) {
      return;
    }
    const CrashState state(*disk, &operation);
    for (std::uint64_t choice = 0; choice < 24; ++choice) {
      const CutChoice cut{.number = choice / 2, .torn = choice % 2 == 1 && choice > 2};
      look(state.power_cut(cut, 16), false,
           "operation " + std::to_string(operation.number) + " choice " + cut.text());
    }
    // No sample hits this one: of all that is pending only the ring has been wiped. Under the old
    // superblock it would be a ring without records.
    std::vector<std::byte> image = disk->durable();
    for (const auto& [sector, versions] : disk->pending()) {
      const std::uint64_t block = sector * sector_size_bytes / block_size_bytes;
      if (block >= format::ring_start_block && block < ring_end_block) {
        std::copy(versions.back().begin(), versions.back().end(),
                  image.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_bytes));
      }
    }
    look(image, false, "operation " + std::to_string(operation.number) + " ring first");
  });
  SimulatedDevice device(disk);
  const Status status = create_image(device, create);
  disk->set_hook({});
  ASSERT_TRUE(status.ok()) << status.error().text();
  look(disk->durable(), true, "at the end");
  fmt::print("forced create: {} images\n", images);
  EXPECT_GT(images, 50U);
}

} // namespace
} // namespace vnvram::test
