// Repair and salvage: what they give back is what was there, and they give back what can be.
#include <algorithm>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "device/memory_device.h"
#include "format/layout.h"
#include "support/crash_state.h"
#include "support/random.h"
#include "support/temporary_directory.h"
#include "vnvram/open_device.h"
#include "vnvram/rescue.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;
/// What each blob held after each generation that changed it.
using Versions = std::map<std::string, std::map<std::uint64_t, std::vector<std::byte>>>;

struct ImageWithHistory {
  Image bytes;
  Versions versions;
  std::vector<Image> earlier; ///< As it was on the way.

  [[nodiscard]] std::uint64_t generation() const {
    std::uint64_t newest = 0;
    for (const auto& [name, history] : versions) {
      newest = std::max(newest, history.rbegin()->first);
    }
    return newest;
  }
};

enum class End { clean, power_cut };

std::unique_ptr<Store> open(const std::shared_ptr<MemoryDisk>& disk,
                            Access access = Access::read_write) {
  OpenOptions options = deterministic_options();
  options.access = access;
  auto store = Store::open(std::make_unique<MemoryDevice>(disk, access), options);
  EXPECT_TRUE(store.ok()) << store.error().text();
  return store ? *std::move(store) : nullptr;
}

ImageWithHistory make_image(End end) {
  ImageWithHistory made;
  const auto disk = std::make_shared<MemoryDisk>(std::size_t{512} << 10U);
  CreateOptions options;
  options.ring_size_bytes = std::uint64_t{96} << 10U;
  for (const char* name : {"a", "b", "c"}) {
    options.blobs.push_back({{.name = name, .type = "test", .size_max_bytes = 15000}, {}});
  }
  MemoryDevice fresh(disk);
  EXPECT_TRUE(create_image(fresh, options).ok());
  auto store = open(disk);
  Random random(5);
  for (unsigned step = 0; step < 90; ++step) {
    const std::string name(1, static_cast<char>('a' + random.below(3)));
    const std::vector<std::byte> bytes(20 + random.below(step < 3 ? 12000 : 900),
                                       static_cast<std::byte>(step + 1));
    EXPECT_TRUE(store->write_range(name, random.below(3000), bytes).ok());
    const auto info = store->blob(name);
    made.versions[name][info->generation] = *store->read(name);
    if (step % 10 == 0) {
      made.earlier.push_back(disk->bytes());
    }
    if (step % 25 == 24) {
      EXPECT_TRUE(store->checkpoint().ok());
    } else if (step == 60) {
      EXPECT_TRUE(store->close().ok());
      store = open(disk);
    }
  }
  if (end == End::clean) {
    EXPECT_TRUE(store->close().ok());
  }
  made.bytes = disk->bytes();
  return made;
}

Image repaired(const Image& damaged, RepairReport& report) {
  const auto disk = std::make_shared<MemoryDisk>(damaged);
  MemoryDevice on_disk(disk);
  const Result<RepairReport> done = repair_image(on_disk, false);
  EXPECT_TRUE(done.ok()) << done.error().text();
  report = done ? *done : RepairReport{};
  return disk->bytes();
}

std::string check(const Image& image) {
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const auto report = check_image(device);
  if (!report) {
    return report.error().text();
  }
  return report->clean() ? "" : report->problems.front().place + report->problems.front().what;
}

void expect_newest(const Image& image, const Versions& versions, const std::string& where) {
  EXPECT_EQ(check(image), "") << where;
  const auto store = open(std::make_shared<MemoryDisk>(image), Access::read_only);
  ASSERT_NE(store, nullptr) << where;
  for (const auto& [name, history] : versions) {
    const auto bytes = store->read(name);
    ASSERT_TRUE(bytes.ok()) << where;
    EXPECT_TRUE(*bytes == history.rbegin()->second) << where << ": wrong bytes of " << name;
  }
}

class Rescue : public ::testing::TestWithParam<End> {
protected:
  const ImageWithHistory good_ = make_image(GetParam());
  const std::uint64_t block_count_ = good_.bytes.size() / block_size_bytes;
};
INSTANTIATE_TEST_SUITE_P(Images, Rescue, ::testing::Values(End::clean, End::power_cut));

TEST_P(Rescue, RepairMendsAFlippedBitInAnyBlock) {
  Random random(7);
  unsigned mended = 0;
  for (std::uint64_t block = 0; block < block_count_; ++block) {
    Image image = good_.bytes;
    image.at((block * block_size_bytes) + random.below(block_size_bytes)) ^=
        std::byte{static_cast<unsigned char>(1U << random.below(8))};
    RepairReport report;
    const Image after = repaired(image, report);
    mended += report.findings.empty() ? 0U : 1U;
    ASSERT_TRUE(report.sound) << "block " << block << ": " << report.findings.back().place << ": "
                              << report.findings.back().what;
    expect_newest(after, good_.versions, "block " + std::to_string(block));
  }
  EXPECT_GE(mended, 10U);
  RecordProperty("faults", std::to_string(block_count_));
}

TEST_P(Rescue, RepairMendsBothSuperblocksAtOnce) {
  Image image = good_.bytes;
  image.at(700) ^= std::byte{1};
  image.at(block_size_bytes + 64) ^= std::byte{0x80};
  RepairReport report;
  expect_newest(repaired(image, report), good_.versions, "both superblocks");
}

// Whole blocks are gone, or hold another block. What is mended is right; what is not is salvaged as
// far as it is intact, and what is salvaged is right and as old as it says.
void destroy_each_block(const ImageWithHistory& good, bool misplaced, unsigned& mended,
                        unsigned& replayed, unsigned& lost) {
  const TemporaryDirectory directory;
  const std::string out = directory.path("out");
  for (std::uint64_t block = 0; block < good.bytes.size() / block_size_bytes; ++block) {
    const std::string where = "block " + std::to_string(block);
    Image image = good.bytes;
    const auto at = image.begin() + static_cast<std::ptrdiff_t>(block * block_size_bytes);
    if (misplaced) {
      const std::uint64_t other = (block + 3) % (image.size() / block_size_bytes);
      std::copy_n(good.bytes.begin() + static_cast<std::ptrdiff_t>(other * block_size_bytes),
                  block_size_bytes, at);
    } else {
      std::fill_n(at, block_size_bytes, std::byte{0x6b});
    }
    RepairReport report;
    const Image after = repaired(image, report);
    // Damage to the newest record cannot be told from a commit that was cut.
    const bool newest_record_lost = report.sound && report.findings.empty() && check(after).empty();
    if (report.sound && !newest_record_lost) {
      ++mended;
      replayed += report.findings.at(0).what.find("records") != std::string::npos ? 1U : 0U;
      expect_newest(after, good.versions, where);
      continue;
    }
    MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
    const auto salvaged = salvage_image(device, out, {.force = true});
    ASSERT_TRUE(salvaged.ok()) << where << ": " << salvaged.error().text();
    auto file = open_device(out, Access::read_only);
    OpenOptions reading = deterministic_options();
    reading.access = Access::read_only;
    const auto store = Store::open(*std::move(file), reading);
    ASSERT_TRUE(store.ok()) << where;
    for (const SalvagedBlob& blob : salvaged->blobs) {
      const auto bytes = (*store)->read(blob.name);
      ASSERT_EQ(bytes.ok(), blob.saved) << where;
      const auto& history = good.versions.at(blob.name);
      if (!blob.saved) {
        ++lost;
        EXPECT_FALSE(blob.why.empty()) << where;
        continue;
      }
      ASSERT_TRUE(history.contains(blob.generation)) << where;
      EXPECT_TRUE(*bytes == history.at(blob.generation)) << where << ": wrong bytes";
      if (salvaged->complete() && !newest_record_lost) {
        EXPECT_EQ(blob.generation, history.rbegin()->first) << where << ": not the newest";
      }
    }
  }
}

TEST_P(Rescue, BlocksThatAreGone) {
  unsigned mended = 0;
  unsigned replayed = 0;
  unsigned lost = 0;
  destroy_each_block(good_, false, mended, replayed, lost);
  EXPECT_GE(mended, 5U);   // A superblock's copy at least,
  EXPECT_GE(replayed, 3U); // and blocks that the ring's records make again.
  EXPECT_GE(lost, 1U);     // Else nothing was destroyed.
}

TEST_P(Rescue, BlocksThatHoldAnotherBlock) {
  unsigned mended = 0;
  unsigned replayed = 0;
  unsigned lost = 0;
  destroy_each_block(good_, true, mended, replayed, lost);
  EXPECT_GE(mended, 5U);
  RecordProperty("faults", std::to_string(block_count_));
}

// A write that the device lost, and said it had done: the block is as it was at some earlier time.
TEST_P(Rescue, AStaleBlockThatComesBackIsNeverTakenForTheNewest) {
  unsigned refused = 0;
  const auto disk = std::make_shared<MemoryDisk>(good_.bytes);
  for (std::uint64_t block = 2; block < block_count_; ++block) {
    const auto offset = static_cast<std::ptrdiff_t>(block * block_size_bytes);
    for (const Image& earlier : good_.earlier) {
      std::copy_n(earlier.begin() + offset, block_size_bytes, disk->bytes().begin() + offset);
      OpenOptions reading = deterministic_options();
      reading.access = Access::read_only;
      const auto store =
          Store::open(std::make_unique<MemoryDevice>(disk, Access::read_only), reading);
      if (!store) {
        EXPECT_EQ(store.error().kind(), ErrorKind::corrupt);
        ++refused;
        continue;
      }
      const bool newest_record_lost = (*store)->info().generation + 1 == good_.generation();
      EXPECT_TRUE(newest_record_lost || (*store)->info().generation == good_.generation());
      for (const auto& [name, history] : good_.versions) {
        const auto bytes = (*store)->read(name);
        refused += bytes ? 0U : 1U;
        const std::uint64_t generation = (*store)->blob(name)->generation;
        EXPECT_TRUE(!bytes || *bytes == history.at(generation)) << "block " << block;
        EXPECT_TRUE(newest_record_lost || generation == history.rbegin()->first);
      }
    }
    std::copy_n(good_.bytes.begin() + offset, block_size_bytes, disk->bytes().begin() + offset);
  }
  EXPECT_GE(refused, 10U);
  RecordProperty("faults", std::to_string((block_count_ - 2) * good_.earlier.size()));
}

TEST_P(Rescue, SoundImagesAreLeftAlone) {
  RepairReport report;
  EXPECT_EQ(repaired(good_.bytes, report), good_.bytes);
  EXPECT_TRUE(report.sound && report.findings.empty());
  const TemporaryDirectory directory;
  MemoryDevice device(std::make_shared<MemoryDisk>(good_.bytes), Access::read_only);
  const auto salvaged = salvage_image(device, directory.path("out"));
  ASSERT_TRUE(salvaged.ok());
  EXPECT_TRUE(salvaged->complete());
  EXPECT_EQ(salvaged->blobs.size(), good_.versions.size());
}

TEST_P(Rescue, ADryRunWritesNothing) {
  Image image = good_.bytes;
  image.at(700) ^= std::byte{1};
  const auto disk = std::make_shared<MemoryDisk>(image);
  MemoryDevice device(disk);
  const auto report = repair_image(device, true);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->findings.size(), 1U);
  EXPECT_EQ(disk->bytes(), image);
}

// Whenever a repair is cut, the next one ends it.
TEST_P(Rescue, ARepairMayBeCut) {
  Random random(3);
  Image image = good_.bytes;
  unsigned flipped = 0;
  for (std::uint64_t block = 0; block < block_count_; block += 7) {
    image.at((block * block_size_bytes) + 40) ^= std::byte{4};
    ++flipped;
  }
  const auto disk = std::make_shared<SimulatedDisk>(image);
  unsigned cuts = 0;
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read) {
      return;
    }
    for (std::uint64_t choice = 0; choice < 4; ++choice) {
      ++cuts;
      RepairReport report;
      const Image left =
          CrashState(*disk, &operation)
              .power_cut({.number = choice < 2 ? choice : random.below(9999), .torn = choice == 3},
                         1);
      const Image after = repaired(left, report);
      // A torn sector is more than one flipped bit: then it is salvaged.
      if (choice != 3) {
        ASSERT_TRUE(report.sound);
        expect_newest(after, good_.versions, "cut");
      }
    }
  });
  SimulatedDevice device(disk);
  ASSERT_TRUE(repair_image(device).ok());
  disk->set_hook({});
  EXPECT_GE(cuts, 8U) << flipped;
  expect_newest(disk->durable(), good_.versions, "not cut");
}

std::unique_ptr<Store> open_file(const std::string& path, Access access) {
  OpenOptions options = deterministic_options();
  options.access = access;
  auto device = open_device(path, access);
  EXPECT_TRUE(device.ok());
  auto store = Store::open(*std::move(device), options);
  EXPECT_TRUE(store.ok()) << store.error().text();
  return store ? *std::move(store) : nullptr;
}

// Wherever the end is cut off: what is still there comes out, and nothing is said to be missing
// that is not.
TEST_P(Rescue, AnImageWithoutItsEndIsSalvaged) {
  const TemporaryDirectory directory;
  unsigned complete = 0;
  unsigned incomplete = 0;
  // The third copy alone, in the blocks behind the image, is not missed.
  for (std::uint64_t blocks = block_count_ - format::third_copy_blocks_from_end - 1; blocks > 24;
       blocks -= 5) {
    const std::string where = std::to_string(blocks) + " blocks";
    Image image = good_.bytes;
    image.resize(blocks * block_size_bytes);
    EXPECT_NE(check(image), "");
    RepairReport report;
    EXPECT_EQ(repaired(image, report), image) << where;
    EXPECT_FALSE(report.sound);
    Image padded = image;
    padded.resize(good_.bytes.size());
    const bool is_whole = check(padded).empty();
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

TEST_P(Rescue, WhatIsSalvagedOfASealedImageIsSealed) {
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

TEST(RescueRefusal, AnImageInUseIsNotRepaired) {
  const auto disk = std::make_shared<MemoryDisk>(make_image(End::clean).bytes);
  const auto owner = open(disk);
  MemoryDevice device(disk);
  const auto report = repair_image(device);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind(), ErrorKind::in_use);
}

TEST(RescueRefusal, WhereNothingIsIntactNothingIsMade) {
  Image image = make_image(End::clean).bytes;
  // All tables and homes.
  std::fill(image.begin() + (18 * block_size_bytes), image.end(), std::byte{0x11});
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const TemporaryDirectory directory;
  const auto salvaged = salvage_image(device, directory.path("out"));
  ASSERT_FALSE(salvaged.ok());
  EXPECT_EQ(salvaged.error().kind(), ErrorKind::corrupt);
  EXPECT_FALSE(std::filesystem::exists(directory.path("out")));
}

TEST(RescueRefusal, WhatAnOwnerChangesMeanwhileIsNotCalledLost) {
  const auto disk = std::make_shared<MemoryDisk>(make_image(End::clean).bytes);
  MemoryDevice device(disk, Access::read_only);
  const TemporaryDirectory directory;
  bool changed = false;
  const auto change = [&](std::uint64_t, std::uint64_t) {
    if (changed) {
      return;
    }
    changed = true;
    const auto owner = open(disk);
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

TEST(RescueRefusal, WhatIsThereIsNotOverwritten) {
  const TemporaryDirectory directory;
  const std::string out = directory.make_file("out", 1);
  MemoryDevice device(std::make_shared<MemoryDisk>(make_image(End::clean).bytes),
                      Access::read_only);
  const auto salvaged = salvage_image(device, out);
  ASSERT_FALSE(salvaged.ok());
  EXPECT_EQ(salvaged.error().kind(), ErrorKind::exists);
}

} // namespace
} // namespace vnvram::test
