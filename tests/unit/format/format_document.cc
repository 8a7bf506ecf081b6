#include "unit/format/format_document.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "unit/format/example_image.h"

namespace vnvram::format {

std::array<std::byte, block_size_bytes> read_dump(const std::string& heading) {
  std::ifstream file(VNVRAM_FORMAT_DOCUMENT);
  EXPECT_TRUE(file.is_open());
  std::array<std::byte, block_size_bytes> block{};
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
  EXPECT_GT(lines, 3) << heading;
  return block;
}

std::vector<std::byte> counting(unsigned first, std::size_t size_bytes) {
  std::vector<std::byte> bytes(size_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(first + i);
  }
  return bytes;
}

std::vector<std::byte> example_data_key() {
  return counting(0, 32);
}

Codec example_sealing_codec() {
  Superblock superblock = example_superblock();
  superblock.features_must_know = feature_encrypted;
  return {superblock, ImageKeys::derive(example_data_key(), superblock.uuid).value()};
}

} // namespace vnvram::format
