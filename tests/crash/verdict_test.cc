// Check, repair and every command agree about every image, whatever was done to it: damage as
// devices do it, and images whose checksums are right and whose content is not.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/example_image.h"
#include "device/memory_device.h"
#include "format/codec.h"
#include "format/header_copy.h"
#include "format/superblock.h"
#include "support/expect_status.h"
#include "support/image_editor.h"
#include "support/image_verdict.h"
#include "support/random.h"
#include "support/sanitizers.h"
#include "vnvram/rescue.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

std::span<std::byte> block_of(Bytes& image, std::uint64_t block) {
  return std::span(image).subspan(block * block_size_bytes, block_size_bytes);
}

struct Base {
  const char* name;
  ExampleImage image;
  ExampleImage other; ///< For blocks of another time.
};

std::vector<Base> bases() {
  return {{"closed", closed_image(), interrupted_image()},
          {"interrupted", interrupted_image(), closed_image()}};
}

// Sanitizers cost time: one image in so many is tried with them.
constexpr unsigned tried_every = under_thread_sanitizer ? 40 : under_address_sanitizer ? 10 : 1;

class VerdictTest : public testing::Test {
protected:
  void TearDown() override { RecordProperty("faults", std::to_string(tried_)); }

  /// Every eighth image is salvaged as well.
  void expect_agreement(const Bytes& image, const std::string& what) {
    if (offered_++ % tried_every == 0) {
      EXPECT_EQ(disagreement(image, tried_++ % 8 == 0), "") << what;
    }
  }

private:
  unsigned offered_ = 0;
  unsigned tried_ = 0;
};

TEST_F(VerdictTest, AllAgreeAboutAnyDamagedBlock) {
  for (const Base& base : bases()) {
    Random random(17);
    const std::uint64_t block_count = base.image.bytes.size() / block_size_bytes;
    for (std::uint64_t block = 0; block < block_count; ++block) {
      const auto damaged = [&](const char* how, const auto& damage) {
        Bytes image = base.image.bytes;
        damage(block_of(image, block));
        expect_agreement(image, fmt::format("{}, block {} {}", base.name, block, how));
      };
      damaged("with a flipped bit", [&](auto bytes) {
        bytes[random.below(block_size_bytes)] ^= std::byte{1} << random.below(8);
      });
      damaged("zeroed", [](auto bytes) { std::ranges::fill(bytes, std::byte{0}); });
      damaged("of garbage", [&](auto bytes) {
        std::ranges::copy(random.bytes(block_size_bytes), bytes.begin());
      });
      damaged("torn", [](auto bytes) {
        std::ranges::fill(bytes.template last<block_size_bytes / 2>(), std::byte{0x33});
      });
      damaged("of another image", [&](auto bytes) {
        Bytes other = base.other.bytes;
        std::ranges::copy(block_of(other, block), bytes.begin());
      });
      damaged("of another place", [&](auto bytes) {
        Bytes other = base.image.bytes;
        std::ranges::copy(block_of(other, (block + 3) % block_count), bytes.begin());
      });
      if (HasFailure()) {
        return;
      }
    }
  }
}

// Where a header begins, a flipped bit may look like what a cut leaves.
TEST_F(VerdictTest, AllAgreeAboutABlockThatBeginsWithAFlippedBit) {
  constexpr std::size_t header_size_bytes = 64;
  for (const Base& base : bases()) {
    Random random(19);
    const std::uint64_t block_count = base.image.bytes.size() / block_size_bytes;
    for (std::uint64_t block = 0; block < block_count; ++block) {
      Bytes image = base.image.bytes;
      block_of(image, block)[random.below(header_size_bytes)] ^= std::byte{1} << random.below(8);
      expect_agreement(image, fmt::format("{}, block {}", base.name, block));
    }
  }
}

TEST_F(VerdictTest, AllAgreeAboutKeySlotsInAnImageThatNeedsNone) {
  for (const Base& base : bases()) {
    Bytes image = base.image.bytes;
    format::Superblock superblock;
    std::memcpy(&superblock, image.data(), sizeof(superblock));
    for (const unsigned copy : {1U, 0U}) { // One of the two, then both.
      const Bytes frame = format::compose_header_copy(
          {.part = format::HeaderPart::key_slots, .copy = copy, .uuid = superblock.uuid}, copy + 1,
          {});
      const std::uint64_t start_block =
          format::start_blocks_of(format::HeaderPart::key_slots).at(copy);
      std::ranges::copy(frame, block_of(image, start_block).begin());
      MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
      const auto report = check_image(device);
      ASSERT_OK(report);
      EXPECT_FALSE(report->clean()) << base.name << ", from copy " << copy;
      EXPECT_EQ(disagreement(image, true), "") << base.name << ", from copy " << copy;
    }
  }
}

// Mended, it is the newer one, and may lead to what is not there.
TEST_F(VerdictTest, AllAgreeAboutASuperblockOfAnotherTimeInWhichABitRotted) {
  for (const Base& base : bases()) {
    Random random(23);
    for (std::uint64_t copy = 0; copy < format::superblock_count; ++copy) {
      for (const unsigned other_copy : {0U, 1U}) {
        for (int attempt = 0; attempt < 8; ++attempt) {
          Bytes image = base.image.bytes;
          Bytes other = base.other.bytes;
          std::ranges::copy(block_of(other, copy), block_of(image, copy).begin());
          block_of(image, other_copy)[random.below(block_size_bytes)] ^= std::byte{1}
                                                                         << random.below(8);
          expect_agreement(image,
                           fmt::format("{}, superblock {} of the other, {} with a flipped bit",
                                       base.name, copy, other_copy));
        }
      }
    }
  }
}

TEST_F(VerdictTest, AllAgreeAboutAnImageThatEndsTooSoonOrTooLate) {
  for (const Base& base : bases()) {
    const std::size_t size = base.image.bytes.size();
    for (const std::size_t cut : {size - 1, size - block_size_bytes, size / 2, size + 1,
                                  size + block_size_bytes, size + 100 * block_size_bytes}) {
      Bytes image = base.image.bytes;
      image.resize(cut);
      expect_agreement(image, fmt::format("{}, of {} instead of {} bytes", base.name, cut, size));
    }
  }
}

// ---- Checksums that are right

constexpr std::uint64_t counter_end = std::uint64_t{1} << 62U;

/// What a number may be that nobody has thought of.
std::vector<std::uint64_t> odd_numbers(std::uint64_t now) {
  return {0,
          1,
          2,
          now + 1,
          now - 1,
          now ^ 0x100U,
          0xFFFF,
          0x7FFFFFFF,
          0xFFFFFFFF,
          0x100000000,
          counter_end,
          counter_end - 1,
          counter_end - 2,
          counter_end - 8,
          ~std::uint64_t{0},
          ~std::uint64_t{0} - 1};
}

struct Field {
  const char* name;
  std::size_t offset_bytes;
  std::size_t size_bytes;
};

#define VNVRAM_FIELD(structure, field)                                                             \
  Field {                                                                                          \
#field, offsetof(structure, field), sizeof(structure::field)                                   \
  }

/// Each field of some bytes in turn, with each odd number.
template <typename Try>
void with_each_odd_number(const std::vector<Field>& fields, std::span<const std::byte> original,
                          const Try& attempt) {
  for (const Field& field : fields) {
    for (std::size_t at = field.offset_bytes; at < field.offset_bytes + field.size_bytes;
         at += std::min<std::size_t>(field.size_bytes, 8)) {
      const std::size_t size = std::min<std::size_t>(field.size_bytes, 8);
      std::uint64_t now = 0;
      std::memcpy(&now, original.data() + at, size);
      for (const std::uint64_t number : odd_numbers(now)) {
        attempt(fmt::format("{} (byte {}) = {:#x}", field.name, at, number), at,
                std::as_bytes(std::span(&number, 1)).first(size));
      }
    }
  }
}

TEST_F(VerdictTest, AllAgreeAboutSuperblocksWithOddNumbers) {
  const std::vector<Field> fields = {VNVRAM_FIELD(format::Superblock, sequence),
                                     VNVRAM_FIELD(format::Superblock, image_block_count),
                                     VNVRAM_FIELD(format::Superblock, ring_start_block),
                                     VNVRAM_FIELD(format::Superblock, ring_block_count),
                                     VNVRAM_FIELD(format::Superblock, zones_start_block),
                                     VNVRAM_FIELD(format::Superblock, entry_size_bytes),
                                     VNVRAM_FIELD(format::Superblock, epoch_number),
                                     VNVRAM_FIELD(format::Superblock, epoch_random),
                                     VNVRAM_FIELD(format::Superblock, generation),
                                     VNVRAM_FIELD(format::Superblock, chain),
                                     VNVRAM_FIELD(format::Superblock, ring_position),
                                     VNVRAM_FIELD(format::Superblock, clean),
                                     VNVRAM_FIELD(format::Superblock, index_entries),
                                     VNVRAM_FIELD(format::Superblock, reserved_0)};
  for (const Base& base : bases()) {
    for (const unsigned copies : {1U, 2U, 3U}) { // A bit for each that is changed.
      Bytes original = base.image.bytes;
      with_each_odd_number(
          fields, block_of(original, 0),
          [&](const std::string& what, std::size_t at, std::span<const std::byte> number) {
            Bytes image = base.image.bytes;
            for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
              if (((copies >> copy) & 1U) == 0) {
                continue;
              }
              format::Superblock superblock;
              std::memcpy(&superblock, block_of(image, copy).data(), sizeof(superblock));
              std::ranges::copy(number, std::as_writable_bytes(std::span(&superblock, 1)).begin() +
                                            static_cast<std::ptrdiff_t>(at));
              format::Codec(superblock).finish(superblock, copy);
              std::memcpy(block_of(image, copy).data(), &superblock, sizeof(superblock));
            }
            expect_agreement(image, fmt::format("{}, copies {}: {}", base.name, copies, what));
          });
    }
  }
}

TEST_F(VerdictTest, AllAgreeAboutDirectoriesWithOddNumbers) {
  const std::vector<Field> page_fields = {VNVRAM_FIELD(format::DirectoryPage, next_page),
                                          VNVRAM_FIELD(format::DirectoryPage, reserved_0)};
  const std::vector<Field> entry_fields = {
      VNVRAM_FIELD(format::DirectoryEntry, size_max_bytes),
      VNVRAM_FIELD(format::DirectoryEntry, size_bytes),
      VNVRAM_FIELD(format::DirectoryEntry, generation),
      VNVRAM_FIELD(format::DirectoryEntry, registered_generation),
      VNVRAM_FIELD(format::DirectoryEntry, page_run_count),
      VNVRAM_FIELD(format::DirectoryEntry, attributes_bytes),
      Field{"page_runs", offsetof(format::DirectoryEntry, page_runs), 8},
      Field{"name", 0, 8},
      Field{"type", 64, 8},
      VNVRAM_FIELD(format::DirectoryEntry, reserved)};
  const Bytes closed = closed_image().bytes;
  Bytes directory(block_size_bytes);
  {
    Bytes image = closed;
    ImageEditor(image).edit_page(0, [&](auto page) { std::ranges::copy(page, directory.begin()); });
  }
  const auto patch = [&](const std::string& what, std::size_t at,
                         std::span<const std::byte> bytes) {
    Bytes image = closed;
    ImageEditor(image).edit_page(0, [&](auto page) {
      std::ranges::copy(bytes, page.begin() + static_cast<std::ptrdiff_t>(at));
    });
    expect_agreement(image, what);
  };
  with_each_odd_number(page_fields, directory, patch);
  for (const std::size_t entry : {0U, 3U, 5U}) { // The last one is free.
    const std::size_t begin =
        offsetof(format::DirectoryPage, entries) + (entry * sizeof(format::DirectoryEntry));
    with_each_odd_number(entry_fields, std::span(directory).subspan(begin),
                         [&](const std::string& what, std::size_t at, auto bytes) {
                           patch(fmt::format("entry {}: {}", entry, what), begin + at, bytes);
                         });
  }
}

TEST_F(VerdictTest, AllAgreeAboutTablesWithOddEntries) {
  const Bytes closed = closed_image().bytes;
  for (std::uint32_t page = 0; page < 24; ++page) {
    std::uint64_t now = 0;
    {
      Bytes image = closed;
      ImageEditor(image).edit_leaf(0, [&](auto& leaf) { now = entry_number(leaf.entry_of(page)); });
    }
    for (const std::uint64_t number : odd_numbers(now)) {
      Bytes image = closed;
      ImageEditor(image).edit_leaf(0,
                                   [&](auto& leaf) { leaf.set_entry_of(page, odd_entry(number)); });
      expect_agreement(image, fmt::format("entry of page {} = {:#x}", page, number));
    }
  }
  // Beyond the pages that the image has.
  for (const std::uint32_t page : {100U, 400U, 511U}) {
    for (const std::uint64_t number : odd_numbers(0)) {
      Bytes image = closed;
      ImageEditor(image).edit_leaf(0,
                                   [&](auto& leaf) { leaf.set_entry_of(page, odd_entry(number)); });
      expect_agreement(image, fmt::format("entry of page {} = {:#x}", page, number));
    }
  }
}

} // namespace
} // namespace vnvram::test
