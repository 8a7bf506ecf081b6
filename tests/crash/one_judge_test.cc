// One judge: what check calls whole opens and takes everything, what it does not call whole fails
// somewhere, and what repair ends well with is whole.
#include <algorithm>
#include <cstring>
#include <string>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "device/memory_device.h"
#include "format/checksum.h"
#include "format/codec.h"
#include "format/superblock.h"
#include "format/superblock_pair.h"
#include "support/image_editor.h"
#include "support/random.h"
#include "support/temporary_directory.h"
#include "vnvram/rescue.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;

std::string why(const Status& status) {
  return status ? "" : status.error().text();
}

/// Why something that programs do to images fails on a copy of it; empty: nothing does.
class Use {
public:
  explicit Use(const Image& image) : disk_(std::make_shared<MemoryDisk>(image)) {}

  std::string failure() {
    for (const auto& step : {&Use::read, &Use::write, &Use::take_all_room, &Use::read}) {
      if (std::string failed = (this->*step)(); !failed.empty()) {
        return failed;
      }
    }
    return {};
  }

private:
  Result<std::unique_ptr<Store>> open(Access access) {
    OpenOptions options = deterministic_options();
    options.access = access;
    return Store::open(std::make_unique<MemoryDevice>(disk_, access), options);
  }

  std::string read() {
    const auto store = open(Access::read_only);
    if (!store) {
      return "reading: " + store.error().text();
    }
    for (const BlobInfo& blob : (*store)->blobs()) {
      const auto content = (*store)->read(blob.name);
      if (!content && content.error().kind() != ErrorKind::too_new) {
        return "reading " + blob.name + ": " + content.error().text();
      }
    }
    return {};
  }

  std::string write() {
    auto store = open(Access::read_write);
    if (!store) {
      return "writing: " + store.error().text();
    }
    for (const BlobInfo& blob : (*store)->blobs()) {
      const Status put = (*store)->write(blob.name, Random(3).bytes(blob.size_max_bytes));
      if (!put && put.error().kind() != ErrorKind::too_new &&
          put.error().kind() != ErrorKind::too_large) {
        return "putting " + blob.name + ": " + put.error().text();
      }
    }
    return why((*store)->close());
  }

  /// Page by page, so that no fragment is left.
  std::string take_all_room() {
    auto store = open(Access::read_write);
    if (!store) {
      return "opening again: " + store.error().text();
    }
    Status added;
    for (int number = 0; added; ++number) {
      const std::vector<BlobSpec> more = {
          {.name = "added" + std::to_string(number), .type = "test", .size_max_bytes = 4096}};
      added = (*store)->register_blobs(more);
    }
    if (added.error().kind() != ErrorKind::no_space) {
      return "registering: " + added.error().text();
    }
    return why((*store)->close());
  }

  std::shared_ptr<MemoryDisk> disk_;
};

struct Verdict {
  bool whole = false;       ///< No problem at all.
  bool only_a_copy = false; ///< Problems, but nothing depends on what they are about.
  std::string first;
};

Verdict check(const Image& image) {
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const auto report = check_image(device);
  if (!report) {
    return {.first = report.error().text()};
  }
  const bool lost = std::any_of(report->problems.begin(), report->problems.end(),
                                [](const CheckProblem& problem) { return problem.data_lost; });
  return {.whole = report->clean(),
          .only_a_copy = !report->clean() && !lost,
          .first =
              report->clean() ? "" : report->problems[0].place + ": " + report->problems[0].what};
}

/// Empty: check, repair and all openers say the same.
std::string disagreement(const Image& image) {
  const Verdict before = check(image);
  const std::string failure = Use(image).failure();
  if ((before.whole || before.only_a_copy) != failure.empty()) {
    return fmt::format("check: \"{}\", use: \"{}\"", before.first, failure);
  }
  const auto disk = std::make_shared<MemoryDisk>(image);
  MemoryDevice device(disk);
  const auto dry = repair_image(device, true);
  const auto repaired = repair_image(device);
  const bool sound = repaired && repaired->sound;
  if (sound != (dry && dry->sound)) {
    return "a dry run says something else than the repair";
  }
  if (before.whole && !sound) {
    return "repair does not call sound what check calls whole: " +
           (repaired ? repaired->findings.back().what : repaired.error().text());
  }
  const Verdict after = check(disk->bytes());
  if (sound != after.whole) {
    return fmt::format("repair: {}, check afterwards: \"{}\"", sound, after.first);
  }
  return sound && !Use(disk->bytes()).failure().empty() ? "a repaired image fails in use" : "";
}

void edit(Random& random, std::span<std::byte> bytes) {
  const std::size_t length = 1 + random.below(16);
  const std::size_t offset = random.below(bytes.size() - length);
  for (std::byte& byte : bytes.subspan(offset, length)) {
    byte = std::byte{static_cast<unsigned char>(random.below(256))};
  }
}

void edit_superblock(Random& random, Image& image, unsigned copy) {
  const auto block = std::span(image).subspan(copy * block_size_bytes, block_size_bytes);
  const auto body = block.first(offsetof(format::Superblock, checksum));
  edit(random, body.first(random.below(4) == 0 ? body.size() : 280));
  const std::uint64_t checksum = format::checksum(body, 0);
  std::memcpy(block.data() + body.size(), &checksum, sizeof(checksum));
}

/// Every checksum is right, and something that it vouches for is not.
Image hostile(std::uint64_t seed) {
  Random random(seed);
  Image image = closed_image().bytes;
  {
    ImageEditor editor(image);
    for (std::uint64_t edits = random.below(3); edits > 0; --edits) {
      const auto page = static_cast<std::uint32_t>(random.below(editor.geometry().page_count()));
      switch (random.below(4)) {
      case 0: editor.edit_page(0, [&](auto content) { edit(random, content); }); break;
      case 1: editor.edit_page(page, [&](auto content) { edit(random, content); }); break;
      case 2:
        editor.edit_leaf(0, [&](format::TableNode& leaf) {
          leaf.set_entry_of(page, odd_entry(random.below(~std::uint64_t{0})));
        });
        break;
      default: {
        format::RecordBuilder builder;
        builder.add_bytes(random.below(2 * block_size_bytes), random.bytes(100));
        editor.superblock().clean = 0;
        editor.append_record(builder);
        editor.write_superblocks();
      }
      }
    }
  }
  if (random.below(2) == 0) {
    const std::uint64_t copies = 1 + random.below(3);
    for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
      if (((copies >> copy) & 1U) != 0) {
        edit_superblock(random, image, copy);
      }
    }
  }
  if (random.below(8) == 0) {
    image.resize(image.size() - random.below(image.size() / 2));
  }
  return image;
}

TEST(OneJudge, CheckRepairAndOpenersAgreeAboutHostileImages) {
  unsigned whole = 0;
  constexpr std::uint64_t images = 400;
  for (std::uint64_t seed = 0; seed < images; ++seed) {
    const Image image = hostile(seed);
    ASSERT_EQ(disagreement(image), "") << "seed " << seed;
    whole += check(image).whole ? 1U : 0U;
  }
  EXPECT_GT(whole, images / 20);
  EXPECT_LT(whole, images - (images / 20));
}

TEST(OneJudge, CheckRepairAndOpenersAgreeAboutRottenImages) {
  for (const Image& good : {closed_image().bytes, interrupted_image().bytes}) {
    for (std::uint64_t block = 0; block < good.size() / block_size_bytes; ++block) {
      Random random(block);
      Image image = good;
      const auto content = std::span(image).subspan(block * block_size_bytes, block_size_bytes);
      if (random.below(2) == 0) {
        edit(random, content);
      } else {
        std::fill(content.begin(), content.end(), std::byte{0});
      }
      ASSERT_EQ(disagreement(image), "") << "block " << block;
    }
  }
}

// A bad entry of a page that nobody owns: whoever registers a blob reads that page.
TEST(OneJudge, APageOfNobodyThatIsNotWhatItsEntrySays) {
  Image image = closed_image().bytes;
  ImageEditor editor(image);
  const std::uint32_t page = editor.geometry().page_count() - 1;
  editor.edit_leaf(0, [&](format::TableNode& leaf) {
    leaf.set_entry_of(page, odd_entry(std::uint64_t{0x1234567890}));
  });
  EXPECT_NE(check(image).first.find(fmt::format("home page {}", page)), std::string::npos)
      << check(image).first;
  EXPECT_EQ(disagreement(image), "");
}

TEST(OneJudge, ADirectoryEntryThatCannotBe) {
  Image image = closed_image().bytes;
  ImageEditor editor(image);
  editor.edit_page(0, [](std::span<std::byte> content) {
    content[offsetof(format::DirectoryPage, entries) + 70] = std::byte{0xff};
  });
  EXPECT_FALSE(check(image).whole);
  EXPECT_EQ(disagreement(image), "");
}

TEST(OneJudge, AnImageThatSaysItIsLongerThanItsDevice) {
  Image image = closed_image().bytes;
  image.resize(image.size() - (12 * block_size_bytes));
  EXPECT_NE(check(image).first.find("the device only"), std::string::npos) << check(image).first;
  EXPECT_EQ(disagreement(image), "");
}

// Nothing that was ever written, and no rot: the one that is not current has a right checksum, too.
TEST(OneJudge, AnOlderSuperblockThatCannotBeBesideTheCurrentOne) {
  using format::Superblock;
  const std::vector<void (*)(Superblock&)> changes = {
      [](Superblock& fields) { fields.uuid[3] ^= std::byte{1}; },
      [](Superblock& fields) { fields.salt += 1; },
      [](Superblock& fields) { fields.epoch_number += 1; },
      [](Superblock& fields) { fields.generation += 1; },
      [](Superblock& fields) { fields.sequence += 1; },
      [](Superblock& fields) { fields.ring_position = fields.ring_block_count; },
      [](Superblock& fields) { fields.reserved[7] = std::byte{1}; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Image image = closed_image().bytes;
    MemoryDevice device(std::make_shared<MemoryDisk>(image));
    const unsigned older = 1 - format::read_superblocks(device)->current()->copy;
    Superblock fields{};
    std::memcpy(&fields, &image[older * block_size_bytes], sizeof(fields));
    changes[i](fields);
    format::Codec(fields).finish(fields, older);
    std::memcpy(&image[older * block_size_bytes], &fields, sizeof(fields));
    EXPECT_FALSE(check(image).whole) << i;
    EXPECT_EQ(disagreement(image), "") << i;
  }
}

// Who wrote it: the first block of another image, copied over this one's.
TEST(OneJudge, WhatASuperblockOfAnotherStoreLeadsToIsMissedByNobody) {
  Image image = closed_image().bytes;
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  format::Superblock fields = *format::read_superblocks(device)->current();
  const unsigned other = 1 - fields.copy;
  fields.uuid[3] ^= std::byte{1};
  fields.salt += 1;
  fields.sequence += 5;
  format::Codec(fields).finish(fields, other);
  std::memcpy(&image[other * block_size_bytes], &fields, sizeof(fields));
  EXPECT_EQ(disagreement(image), "");
  MemoryDevice overwritten(std::make_shared<MemoryDisk>(image), Access::read_only);
  const TemporaryDirectory directory;
  const auto salvaged = salvage_image(overwritten, directory.path("out"));
  ASSERT_TRUE(salvaged.ok()) << salvaged.error().text();
  EXPECT_FALSE(salvaged->blobs.empty());
  EXPECT_TRUE(salvaged->complete());
}

} // namespace
} // namespace vnvram::test
