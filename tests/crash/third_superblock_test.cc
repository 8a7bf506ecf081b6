// The superblock's third copy: an image is found again whose beginning was overwritten, and never
// an older state of it.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "device/memory_device.h"
#include "store/third_copy.h"
#include "support/crash_state.h"
#include "support/random.h"
#include "support/sanitizers.h"
#include "support/temporary_directory.h"
#include "vnvram/rescue.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;

void put(Image& image, std::size_t offset, std::string_view text) {
  std::transform(text.begin(), text.end(), image.begin() + static_cast<std::ptrdiff_t>(offset),
                 [](char c) { return static_cast<std::byte>(c); });
}

void wipe_beginning(Image& image) {
  std::fill_n(image.begin(), 2 * block_size_bytes, std::byte{0});
}

struct Overwritten {
  std::string words; ///< Of what an opener says.
  Image image;
};

/// What partitioning and mkfs leave on it.
std::vector<Overwritten> overwritten(const Image& good) {
  std::vector<Overwritten> list;
  list.push_back({"by zeros", good});
  wipe_beginning(list.back().image);
  list.push_back({"was overwritten (", good});
  const Image noise = Random(4).bytes(2 * block_size_bytes);
  std::copy(noise.begin(), noise.end(), list.back().image.begin());
  list.push_back({"a partition table or boot sector", good});
  wipe_beginning(list.back().image);
  put(list.back().image, 510, "\x55\xaa");
  // Both tables of a GPT: 34 sectors at the beginning, 33 at the end.
  list.push_back({"a GPT partition table", good});
  Image& gpt = list.back().image;
  std::fill_n(gpt.begin(), 34 * 512, std::byte{0});
  std::fill(gpt.end() - (33 * 512), gpt.end(), std::byte{0x77});
  put(gpt, 510, "\x55\xaa");
  put(gpt, 512, "EFI PART");
  list.push_back({"a FAT file system", good});
  wipe_beginning(list.back().image);
  put(list.back().image, 54, "FAT12");
  put(list.back().image, 510, "\x55\xaa");
  return list;
}

Result<std::unique_ptr<Store>> open(const Image& image, Access access = Access::read_only) {
  OpenOptions options = deterministic_options();
  options.access = access;
  return Store::open(std::make_unique<MemoryDevice>(std::make_shared<MemoryDisk>(image), access),
                     options);
}

struct Repaired {
  Image image;
  bool sound = false;
};

Repaired repair(const Image& image) {
  const auto disk = std::make_shared<MemoryDisk>(image);
  MemoryDevice device(disk);
  const auto report = repair_image(device);
  return {disk->bytes(), report && report->sound};
}

TEST(ThirdSuperblock, AnImageWhoseBeginningWasOverwrittenIsFoundAgain) {
  const ExampleImage good = closed_image();
  for (const Overwritten& damaged : overwritten(good.bytes)) {
    SCOPED_TRACE(damaged.words);
    MemoryDevice device(std::make_shared<MemoryDisk>(damaged.image));
    const std::vector<Error> said = {open(damaged.image).error(),
                                     open(damaged.image, Access::read_write).error(),
                                     check_image(device).error()};
    for (const Error& error : said) {
      EXPECT_EQ(error.kind(), ErrorKind::corrupt);
      EXPECT_NE(error.text().find("beginning was overwritten"), std::string::npos) << error.text();
      EXPECT_NE(error.text().find(damaged.words), std::string::npos) << error.text();
      EXPECT_NE(error.text().find("`repair`"), std::string::npos) << error.text();
      EXPECT_EQ(error.text().find("--force"), std::string::npos) << error.text();
    }
    const Status created = create_image(device, {});
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.error().kind(), ErrorKind::exists);

    const Repaired repaired = repair(damaged.image);
    ASSERT_TRUE(repaired.sound);
    const auto store = open(repaired.image, Access::read_write);
    ASSERT_TRUE(store.ok()) << store.error().text();
    EXPECT_TRUE(*StoreState::capture(**store) == good.state);
    EXPECT_TRUE((*store)->write("blob0", Random(1).bytes(100)).ok());
    EXPECT_TRUE((*store)->close().ok());
  }
}

// Nothing depends on it until both others are lost, and nobody would know that it is gone.
TEST(ThirdSuperblock, CheckSaysThatAClosedImageHasNone) {
  const Image good = closed_image().bytes;
  const auto notes_of = [](const Image& image) {
    MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
    const auto report = check_image(device);
    EXPECT_TRUE(report && report->clean());
    return report ? report->notes : std::vector<std::string>();
  };
  EXPECT_TRUE(notes_of(good).empty());
  const std::size_t at = good.size() - (format::third_copy_blocks_from_end * block_size_bytes);
  const auto with = [&](const auto& change) {
    Image image = good;
    change(std::span(image).subspan(at, block_size_bytes));
    return image;
  };
  const std::vector<std::pair<std::string, Image>> damaged = {
      {"all zero", with([](auto block) { std::ranges::fill(block, std::byte{0}); })},
      {"not a superblock", with([](auto block) { std::ranges::fill(block, std::byte{7}); })},
      {"checksum mismatch", with([](auto block) { block[100] ^= std::byte{1}; })}};
  for (const auto& [what, image] : damaged) {
    const std::vector<std::string> notes = notes_of(image);
    ASSERT_EQ(notes.size(), 1U) << what;
    EXPECT_NE(notes[0].find("superblock C"), std::string::npos) << notes[0];
    EXPECT_NE(notes[0].find(what), std::string::npos) << notes[0];
  }
}

TEST(ThirdSuperblock, SalvageFindsItToo) {
  Image image = closed_image().bytes;
  wipe_beginning(image);
  const TemporaryDirectory directory;
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const auto salvaged = salvage_image(device, directory.path("out"));
  ASSERT_TRUE(salvaged.ok()) << salvaged.error().text();
  EXPECT_TRUE(salvaged->complete());
  EXPECT_EQ(salvaged->blobs.size(), 4U);
}

// What was committed last may have been overwritten with the beginning: nothing could tell.
TEST(ThirdSuperblock, AnImageThatWasInUseIsNotSaidToBeWhole) {
  Image image = interrupted_image().bytes;
  wipe_beginning(image);
  EXPECT_EQ(open(image).error().kind(), ErrorKind::corrupt);
  EXPECT_NE(open(image).error().remedy().find("salvage"), std::string::npos);
  const Repaired repaired = repair(image);
  EXPECT_FALSE(repaired.sound);
  EXPECT_EQ(repaired.image, image);
  const TemporaryDirectory directory;
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const auto salvaged = salvage_image(device, directory.path("out"));
  ASSERT_TRUE(salvaged.ok()) << salvaged.error().text();
  EXPECT_FALSE(salvaged->complete());
  EXPECT_FALSE(salvaged->notes.empty());
}

/// Opens, commits, checkpoints and closes, over and over; the blob holds the number of the commit.
class Counting {
public:
  explicit Counting(std::shared_ptr<SimulatedDisk> disk) : disk_(std::move(disk)) {}

  void run() {
    for (int owner = 0; owner < 3; ++owner) {
      const auto store =
          Store::open(std::make_unique<SimulatedDevice>(disk_), deterministic_options());
      ASSERT_TRUE(store.ok()) << store.error().text();
      for (int commit = 0; commit < 4; ++commit) {
        Image number(3000, static_cast<std::byte>(acknowledged_ + 1));
        ASSERT_TRUE((*store)->write("blob0", number).ok());
        ++acknowledged_;
        if (commit % 2 == 1) {
          ASSERT_TRUE((*store)->checkpoint().ok());
        }
      }
      ASSERT_TRUE((*store)->close().ok());
    }
  }
  [[nodiscard]] unsigned acknowledged() const { return acknowledged_; }

private:
  std::shared_ptr<SimulatedDisk> disk_;
  unsigned acknowledged_ = 0;
};

unsigned number_in(const Image& image) {
  const auto store = open(image);
  EXPECT_TRUE(store.ok());
  const auto content = store ? (*store)->read("blob0") : Result<Image>(store.error());
  return content && !content->empty() ? std::to_integer<unsigned>(content->front()) : 0;
}

TEST(ThirdSuperblock, WheneverThePowerIsCutNoOlderStateIsCalledWhole) {
  const auto disk = std::make_shared<SimulatedDisk>(closed_image().bytes);
  Counting counting(disk);
  unsigned sound = 0;
  unsigned refused = 0;
  std::uint64_t operation = 0;
  const auto judge = [&](Image image) {
    wipe_beginning(image);
    const Repaired repaired = repair(image);
    ++(repaired.sound ? sound : refused);
    // Before the first commit the blob holds something else.
    ASSERT_TRUE(!repaired.sound || counting.acknowledged() == 0 ||
                number_in(repaired.image) >= counting.acknowledged())
        << "operation " << operation;
  };
  disk->set_hook([&](const SimulatedOperation& in_flight) {
    operation = in_flight.number;
    if (in_flight.kind == OperationKind::read || testing::Test::HasFailure()) {
      return;
    }
    const CrashState state(*disk, &in_flight);
    for (std::uint64_t choice = 0; choice < 12; choice += case_step) {
      judge(state.power_cut({.number = choice / 2, .torn = choice % 2 == 1 && choice > 2}, 8));
    }
  });
  counting.run();
  disk->set_hook({});
  judge(disk->durable());
  EXPECT_GE(sound, cases(11));
  EXPECT_GE(refused, cases(101));
}

TEST(ThirdSuperblock, ASealIsInItToo) {
  const auto disk = std::make_shared<MemoryDisk>(closed_image().bytes);
  ASSERT_TRUE(seal_image(std::make_unique<MemoryDevice>(disk)).ok());
  Image image = disk->bytes();
  wipe_beginning(image);
  const Repaired repaired = repair(image);
  ASSERT_TRUE(repaired.sound);
  EXPECT_EQ(open(repaired.image, Access::read_write).error().kind(), ErrorKind::sealed);

  // And before the close.
  const auto in_use = std::make_shared<MemoryDisk>(closed_image().bytes);
  const auto store = Store::open(std::make_unique<MemoryDevice>(in_use), deterministic_options());
  ASSERT_TRUE((*store)->seal().ok());
  const auto third = look_at_third_copy(*std::make_unique<MemoryDevice>(
      std::make_shared<MemoryDisk>(in_use->bytes()), Access::read_only));
  ASSERT_TRUE(third.ok());
  EXPECT_NE(third->superblock.features_must_know & format::feature_sealed, 0U);
}

TEST(ThirdSuperblock, ItMovesWithTheDevicesEnd) {
  const auto disk = std::make_shared<MemoryDisk>(closed_image().bytes);
  const std::uint64_t old_block = (disk->bytes().size() / block_size_bytes) - 8;
  disk->bytes().resize(disk->bytes().size() + (40 * block_size_bytes));
  {
    MemoryDevice grown(disk);
    EXPECT_FALSE(*read_third_copy(grown));
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
    ASSERT_TRUE((*store)->write("blob0", Random(1).bytes(50)).ok());
    ASSERT_TRUE((*store)->close().ok());
    EXPECT_TRUE(*read_third_copy(grown));
  }
  // The old one cannot come back: nothing is there any more.
  const auto at = disk->bytes().begin() + static_cast<std::ptrdiff_t>(old_block * block_size_bytes);
  EXPECT_TRUE(
      std::all_of(at, at + block_size_bytes, [](std::byte b) { return b == std::byte{0}; }));
  Image image = disk->bytes();
  wipe_beginning(image);
  ASSERT_TRUE(repair(image).sound);

  MemoryDevice device(disk);
  ASSERT_TRUE(resize_image(device, 0).ok());
  image = disk->bytes();
  EXPECT_EQ((*open(image))->info().image_size_bytes, image.size());
  wipe_beginning(image);
  const Repaired repaired = repair(image);
  ASSERT_TRUE(repaired.sound);
  EXPECT_EQ((*open(repaired.image))->info().image_size_bytes, image.size());
}

// Of an owner that saw the device at another length, say. The ring holds what came after it.
TEST(ThirdSuperblock, AnOlderOneBringsNothingBack) {
  const auto disk = std::make_shared<MemoryDisk>(closed_image().bytes);
  const std::size_t at = disk->bytes().size() - (8 * block_size_bytes);
  const Image older(disk->bytes().begin() + static_cast<std::ptrdiff_t>(at),
                    disk->bytes().begin() + static_cast<std::ptrdiff_t>(at + block_size_bytes));
  {
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
    ASSERT_TRUE((*store)->write_range("blob0", 0, Random(1).bytes(50)).ok());
    ASSERT_TRUE((*store)->close().ok());
  }
  Image image = disk->bytes();
  std::copy(older.begin(), older.end(), image.begin() + static_cast<std::ptrdiff_t>(at));
  EXPECT_TRUE(open(image).ok()); // While another superblock is whole it says nothing.
  wipe_beginning(image);
  const Repaired repaired = repair(image);
  EXPECT_FALSE(repaired.sound);
  EXPECT_EQ(repaired.image, image);
  const TemporaryDirectory directory;
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const auto salvaged = salvage_image(device, directory.path("out"));
  EXPECT_TRUE(!salvaged || !salvaged->complete());
}

TEST(ThirdSuperblock, AnImageAsLongAsItsDeviceGoesOnWithoutIt) {
  Image image = closed_image().bytes;
  image.resize(image.size() - (8 * block_size_bytes));
  const auto disk = std::make_shared<MemoryDisk>(image);
  const auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
  ASSERT_TRUE(store.ok()) << store.error().text();
  EXPECT_EQ((*store)->info().image_size_bytes, image.size());
  ASSERT_TRUE((*store)->write("blob0", Random(1).bytes(100)).ok());
  ASSERT_TRUE((*store)->close().ok());
  EXPECT_EQ(disk->bytes().size(), image.size());
  MemoryDevice device(disk, Access::read_only);
  EXPECT_TRUE(check_image(device)->clean());
  image = disk->bytes();
  wipe_beginning(image);
  EXPECT_EQ(open(image).error().kind(), ErrorKind::foreign);
}

// Whoever keeps something behind an image keeps it.
TEST(ThirdSuperblock, WhatIsNotOursBehindAnImageStays) {
  Image image = closed_image().bytes;
  const std::size_t at = image.size() - (8 * block_size_bytes);
  std::fill(image.begin() + static_cast<std::ptrdiff_t>(at), image.end(), std::byte{0x5a});
  const auto disk = std::make_shared<MemoryDisk>(image);
  const auto store = Store::open(std::make_unique<MemoryDevice>(disk), deterministic_options());
  ASSERT_TRUE((*store)->write("blob0", Random(1).bytes(100)).ok());
  ASSERT_TRUE((*store)->close().ok());
  EXPECT_TRUE(std::equal(image.begin() + static_cast<std::ptrdiff_t>(at), image.end(),
                         disk->bytes().begin() + static_cast<std::ptrdiff_t>(at)));
}

} // namespace
} // namespace vnvram::test
