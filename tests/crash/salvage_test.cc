// Salvage: what comes out of an image that cannot be mended, or is sealed, and when nothing does.
#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/image_with_history.h"
#include "format/layout.h"
#include "support/temporary_directory.h"
#include "vnvram/open_device.h"
#include "vnvram/rescue.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;

std::unique_ptr<Store> open_file(const std::string& path, Access access) {
  OpenOptions options = deterministic_options();
  options.access = access;
  auto device = open_device(path, access);
  EXPECT_TRUE(device.ok());
  auto store = Store::open(*std::move(device), options);
  EXPECT_TRUE(store.ok()) << store.error().text();
  return store ? *std::move(store) : nullptr;
}

class Salvage : public ::testing::TestWithParam<End> {
protected:
  const ImageWithHistory good_ = make_image_with_history(GetParam());
  const std::uint64_t block_count_ = good_.bytes.size() / block_size_bytes;
};
INSTANTIATE_TEST_SUITE_P(Images, Salvage, ::testing::Values(End::clean, End::power_cut));

// Wherever the end is cut off: what is still there comes out, and nothing is said to be missing
// that is not.
TEST_P(Salvage, AnImageWithoutItsEndIsSalvaged) {
  const TemporaryDirectory directory;
  unsigned complete = 0;
  unsigned incomplete = 0;
  // The third copy alone, in the blocks behind the image, is not missed.
  for (std::uint64_t blocks = block_count_ - format::third_copy_blocks_from_end - 1; blocks > 24;
       blocks -= 5) {
    const std::string where = std::to_string(blocks) + " blocks";
    Image image = good_.bytes;
    image.resize(blocks * block_size_bytes);
    EXPECT_NE(first_problem(image), "");
    RepairReport report;
    EXPECT_EQ(repaired(image, report), image) << where;
    EXPECT_FALSE(report.sound);
    Image padded = image;
    padded.resize(good_.bytes.size());
    const bool is_whole = first_problem(padded).empty();
    MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
    const std::string out = directory.path("out");
    const auto salvaged = salvage_image(device, out, {.force = true});
    if (!salvaged) {
      EXPECT_FALSE(is_whole) << where << ": " << salvaged.error().text();
      ++incomplete;
      continue;
    }
    EXPECT_TRUE(salvaged->complete() || !is_whole) << where;
    complete += salvaged->complete() ? 1U : 0U;
    incomplete += salvaged->complete() ? 0U : 1U;
    const auto store = open_file(out, Access::read_only);
    for (const SalvagedBlob& blob : salvaged->blobs) {
      const auto& history = good_.versions.at(blob.name);
      ASSERT_TRUE(!blob.saved || *store->read(blob.name) == history.at(blob.generation)) << where;
      ASSERT_TRUE(!salvaged->complete() || blob.generation == history.rbegin()->first) << where;
    }
  }
  EXPECT_GT(complete, 3U);
  EXPECT_GT(incomplete, 3U);
}

TEST_P(Salvage, WhatIsSalvagedOfASealedImageIsSealed) {
  const auto disk = std::make_shared<MemoryDisk>(good_.bytes);
  ASSERT_TRUE(seal_image(std::make_unique<MemoryDevice>(disk)).ok());
  const TemporaryDirectory directory;
  MemoryDevice device(disk, Access::read_only);
  const auto sealed = salvage_image(device, directory.path("sealed"));
  ASSERT_TRUE(sealed.ok());
  EXPECT_TRUE(sealed->sealed && sealed->complete());
  auto out = open_device(directory.path("sealed"), Access::read_write);
  const auto refused = Store::open(*std::move(out), deterministic_options());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::sealed);
  EXPECT_EQ(*open_file(directory.path("sealed"), Access::read_only)->read("a"),
            good_.versions.at("a").rbegin()->second);

  const auto unsealed = salvage_image(device, directory.path("unsealed"), {.unseal = true});
  ASSERT_TRUE(unsealed.ok());
  EXPECT_FALSE(unsealed->sealed);
  const auto store = open_file(directory.path("unsealed"), Access::read_write);
  EXPECT_TRUE(store->write_range("a", 0, std::vector<std::byte>(3)).ok());
}

TEST(SalvageRefusal, WhereNothingIsIntactNothingIsMade) {
  Image image = make_image_with_history(End::clean).bytes;
  // All tables and homes.
  std::fill(image.begin() + (18 * block_size_bytes), image.end(), std::byte{0x11});
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const TemporaryDirectory directory;
  const auto salvaged = salvage_image(device, directory.path("out"));
  ASSERT_FALSE(salvaged.ok());
  EXPECT_EQ(salvaged.error().kind(), ErrorKind::corrupt);
  EXPECT_FALSE(std::filesystem::exists(directory.path("out")));
}

TEST(SalvageRefusal, WhatAnOwnerChangesMeanwhileIsNotCalledLost) {
  const auto disk = std::make_shared<MemoryDisk>(make_image_with_history(End::clean).bytes);
  MemoryDevice device(disk, Access::read_only);
  const TemporaryDirectory directory;
  bool changed = false;
  const auto change = [&](std::uint64_t, std::uint64_t) {
    if (changed) {
      return;
    }
    changed = true;
    const auto owner = open_disk(disk);
    for (unsigned i = 0; i < 4; ++i) {
      const std::vector<std::byte> bytes(12000, static_cast<std::byte>(0x40 + i));
      for (const char* name : {"a", "b", "c"}) {
        EXPECT_TRUE(owner->write(name, bytes).ok());
      }
      EXPECT_TRUE(owner->checkpoint().ok());
    }
  };
  const auto salvaged = salvage_image(device, directory.path("out"), {}, change);
  EXPECT_TRUE(changed);
  ASSERT_FALSE(salvaged.ok());
  EXPECT_EQ(salvaged.error().kind(), ErrorKind::stale) << salvaged.error().text();
  EXPECT_FALSE(std::filesystem::exists(directory.path("out")));
}

TEST(SalvageRefusal, WhatIsThereIsNotOverwritten) {
  const TemporaryDirectory directory;
  const std::string out = directory.make_file("out", 1);
  MemoryDevice device(std::make_shared<MemoryDisk>(make_image_with_history(End::clean).bytes),
                      Access::read_only);
  const auto salvaged = salvage_image(device, out);
  ASSERT_FALSE(salvaged.ok());
  EXPECT_EQ(salvaged.error().kind(), ErrorKind::exists);
}

} // namespace
} // namespace vnvram::test
