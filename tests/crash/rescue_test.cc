// Repair, and salvage where that does not help: what they give back is what was there, and they
// give back what can be.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/image_with_history.h"
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

void expect_newest(const Image& image, const Versions& versions, const std::string& where) {
  EXPECT_EQ(first_problem(image), "") << where;
  const auto store = open_disk(std::make_shared<MemoryDisk>(image), Access::read_only);
  ASSERT_NE(store, nullptr) << where;
  for (const auto& [name, history] : versions) {
    const auto bytes = store->read(name);
    ASSERT_TRUE(bytes.ok()) << where;
    EXPECT_TRUE(*bytes == history.rbegin()->second) << where << ": wrong bytes of " << name;
  }
}

class Rescue : public ::testing::TestWithParam<End> {
protected:
  const ImageWithHistory good_ = make_image_with_history(GetParam());
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
    const bool newest_record_lost =
        report.sound && report.findings.empty() && first_problem(after).empty();
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

TEST(RescueRefusal, AnImageInUseIsNotRepaired) {
  const auto disk = std::make_shared<MemoryDisk>(make_image_with_history(End::clean).bytes);
  const auto owner = open_disk(disk);
  MemoryDevice device(disk);
  const auto report = repair_image(device);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind(), ErrorKind::in_use);
}

} // namespace
} // namespace vnvram::test
