// docs/format.md is true: its worked example is what this code writes, and it decodes.
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "format/record_view.h"
#include "unit/format/example_image.h"

namespace vnvram::format {
namespace {

using Block = std::array<std::byte, block_size_bytes>;

// The block whose hex dump follows the heading; lines that are left out of the dump are zero.
Block read_dump(const std::string& heading) {
  std::ifstream file(VNVRAM_FORMAT_DOCUMENT);
  EXPECT_TRUE(file.is_open());
  Block block{};
  std::string line;
  while (std::getline(file, line) && line != heading) {
  }
  while (std::getline(file, line) && line != "```hex") {
  }
  int lines = 0;
  for (; std::getline(file, line) && line != "```"; ++lines) {
    std::istringstream fields(line);
    std::size_t offset = 0;
    char colon = 0;
    fields >> std::hex >> offset >> colon;
    unsigned value = 0;
    for (; fields >> std::hex >> value; ++offset) {
      block.at(offset) = static_cast<std::byte>(value);
    }
  }
  EXPECT_GT(lines, 4) << heading;
  return block;
}

TEST(FormatDocument, TheSuperblockDecodes) {
  const Block block = read_dump("### Example: superblock A");
  const CheckedSuperblock checked = check_superblock(block, 0);
  ASSERT_EQ(checked.state, SuperblockState::valid) << checked.reason;
  EXPECT_EQ(checked.superblock.epoch_number, 2U);
  EXPECT_EQ(checked.superblock.ring_position, 257U);
  const Superblock made = example_superblock();
  EXPECT_EQ(std::memcmp(block.data(), &made, sizeof(made)), 0);
}

TEST(FormatDocument, TheRecordDecodes) {
  const Block block = read_dump("### Example: a record");
  const Superblock superblock = example_superblock();
  const char* reason = nullptr;
  const auto record = RecordView::check(
      block, Codec(superblock), geometry_of(superblock).page_count() * block_size_bytes, reason);
  ASSERT_TRUE(record.has_value()) << reason;
  EXPECT_EQ(record->header().sequence, 2U);
  EXPECT_EQ(record->header().chain, superblock.chain);
  ASSERT_EQ(record->extents().size(), 2U);
  EXPECT_EQ(std::memcmp(record->extents()[0].bytes.data(), "hello", 5), 0);
  EXPECT_EQ(record->extents()[1].offset_bytes, 712U);
  const std::vector<std::byte> made = example_record();
  ASSERT_EQ(made.size(), block.size());
  EXPECT_EQ(std::memcmp(block.data(), made.data(), made.size()), 0);
}

} // namespace
} // namespace vnvram::format
