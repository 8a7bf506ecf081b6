// Guard blocks, and what open_device() makes of files that begin with one.
#include "device/guarded_device.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "vnvram/open_device.h"

namespace vnvram::test {
namespace {

using State = GuardBlock::State;
using Block = std::array<std::byte, guard_size_bytes>;

constexpr std::uint64_t guarded_file_size_bytes = 16 * block_size_bytes;
constexpr std::uint64_t no_place = std::numeric_limits<std::uint64_t>::max();

Block block_of(const GuardBlock& guard) {
  Block block{};
  write_guard(guard, block);
  return block;
}

GuardBlock guard_of(State state, std::uint64_t image_size_bytes = 0) {
  GuardBlock guard;
  guard.state = state;
  guard.image_size_bytes = image_size_bytes;
  return guard;
}

TEST(GuardBlockTest, SaysWhatItWasMadeOf) {
  for (const State state : {State::whole, State::taking_over}) {
    const GuardBlock guard{
        .state = state, .image_size_bytes = 5, .kept_offset_bytes = no_place, .kept_size_bytes = 7};
    const GuardBlock read = read_guard(block_of(guard));
    EXPECT_EQ(read.state, state);
    EXPECT_EQ(read.image_size_bytes, 5U);
    EXPECT_EQ(read.kept_offset_bytes, no_place);
    EXPECT_EQ(read.kept_size_bytes, 7U);
  }
}

TEST(GuardBlockTest, BeginsAsSwtpmsOwnOfAVersionThatNoneKnows) {
  const Block block = block_of(guard_of(State::whole));
  EXPECT_EQ(std::memcmp(block.data(), "nilmptws\xff\0\xc0\0", 12), 0);
}

TEST(GuardBlockTest, AZeroedMarkAsksForANewTpmWhateverWasGoingOn) {
  for (const State state : {State::whole, State::taking_over}) {
    Block block = block_of(guard_of(state));
    std::fill_n(block.begin(), 8, std::byte{0});
    EXPECT_EQ(read_guard(block).state, State::reset_requested);
    block[7] = std::byte{1};
    EXPECT_NE(read_guard(block).state, State::reset_requested);
  }
}

TEST(GuardBlockTest, WhatIsNoneIsNone) {
  const Block block = block_of(guard_of(State::whole));
  EXPECT_EQ(read_guard({}).state, State::none);
  EXPECT_EQ(read_guard(std::span(block).first(block.size() - 1)).state, State::none);
  Block other = block;
  other[192] ^= std::byte{1};
  EXPECT_EQ(read_guard(other).state, State::none);
  EXPECT_EQ(read_guard(Block{}).state, State::none);
}

class GuardedDeviceTest : public testing::Test {
protected:
  void put_guard(const GuardBlock& guard, bool is_reset = false) {
    Block block = block_of(guard);
    if (is_reset) {
      std::fill_n(block.begin(), 8, std::byte{0});
    }
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(block.data()), block.size());
    ASSERT_TRUE(file.flush());
    block_ = block;
  }
  std::unique_ptr<BlockDevice> open() {
    auto device = open_device(path_, Access::read_write);
    EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().text());
    return *std::move(device);
  }
  std::vector<std::byte> file_block(std::uint64_t number) {
    std::vector<std::byte> bytes(block_size_bytes);
    std::ifstream file(path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(number * block_size_bytes));
    file.read(reinterpret_cast<char*>(bytes.data()), block_size_bytes);
    EXPECT_TRUE(file);
    return bytes;
  }
  void expect_guard_untouched() { EXPECT_TRUE(std::ranges::equal(file_block(0), block_)); }

  TemporaryDirectory directory_;
  std::string path_ = directory_.make_file("image", guarded_file_size_bytes);
  Block block_{};
};

TEST_F(GuardedDeviceTest, BeginsBehindTheGuard) {
  put_guard(guard_of(State::whole));
  const auto device = open();
  EXPECT_EQ(device->size_bytes().value(), guarded_file_size_bytes - guard_size_bytes);
  const std::vector<std::byte> data(block_size_bytes, std::byte{0x5a});
  ASSERT_OK(device->write(0, data));
  ASSERT_OK(device->write_durable(2 * block_size_bytes, data));
  std::vector<std::byte> read(block_size_bytes);
  ASSERT_OK(device->write_durable_and_read(4 * block_size_bytes, data, 0, read));
  EXPECT_EQ(read, data);
  ASSERT_OK(device->flush());
  for (const std::uint64_t number : {1U, 3U, 5U}) {
    EXPECT_EQ(file_block(number), data);
  }
  expect_guard_untouched();
}

TEST_F(GuardedDeviceTest, GrowsBehindTheGuard) {
  put_guard(guard_of(State::whole));
  const auto device = open();
  ASSERT_TRUE(device->capabilities().resize);
  ASSERT_OK(device->resize(guarded_file_size_bytes));
  EXPECT_EQ(device->size_bytes().value(), guarded_file_size_bytes);
  EXPECT_EQ(std::filesystem::file_size(path_), guarded_file_size_bytes + guard_size_bytes);
  EXPECT_FALSE(device->resize(no_place).ok());
  expect_guard_untouched();
}

TEST_F(GuardedDeviceTest, EndsWhereTheGuardSaysSo) {
  put_guard(guard_of(State::whole, 4 * block_size_bytes));
  const auto device = open();
  EXPECT_EQ(device->size_bytes().value(), 4 * block_size_bytes);
  EXPECT_FALSE(device->capabilities().resize);
  EXPECT_KIND(device->resize(8 * block_size_bytes), unsupported);
}

TEST_F(GuardedDeviceTest, EndsWithTheDeviceWhateverTheGuardSays) {
  for (const std::uint64_t size_bytes :
       {guarded_file_size_bytes, no_place, no_place - guard_size_bytes}) {
    put_guard(guard_of(State::whole, size_bytes));
    const auto device = open();
    EXPECT_EQ(device->size_bytes().value(), guarded_file_size_bytes - guard_size_bytes);
    std::vector<std::byte> read(block_size_bytes);
    EXPECT_FALSE(device->read(guarded_file_size_bytes - guard_size_bytes, read).ok());
    EXPECT_FALSE(device->read(no_place - block_size_bytes + 1, read).ok());
    EXPECT_FALSE(device->write(no_place - 1, read).ok());
  }
}

TEST_F(GuardedDeviceTest, OneThatIsToBeResetIsWhatItWas) {
  put_guard(guard_of(State::whole), true);
  EXPECT_EQ(open()->size_bytes().value(), guarded_file_size_bytes - guard_size_bytes);
  expect_guard_untouched();
}

TEST_F(GuardedDeviceTest, OneThatIsBeingMadeIsNone) {
  put_guard(guard_of(State::taking_over));
  EXPECT_KIND(open_device(path_, Access::read_only), corrupt);
  expect_guard_untouched();
}

TEST_F(GuardedDeviceTest, AFileThatEndsWithItsGuardIsEmpty) {
  put_guard(guard_of(State::whole, block_size_bytes));
  std::filesystem::resize_file(path_, guard_size_bytes);
  EXPECT_EQ(open()->size_bytes().value(), 0U);
}

} // namespace
} // namespace vnvram::test
