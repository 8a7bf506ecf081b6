#include "device/memory_device.h"

#include <gtest/gtest.h>

namespace vnvram {
namespace {

TEST(MemoryDeviceTest, KeepsWhatIsWrittenForTheNextDevice) {
  const auto disk = std::make_shared<MemoryDisk>(8 * block_size_bytes);
  const std::vector<std::byte> block(block_size_bytes, std::byte{3});
  ASSERT_TRUE(MemoryDevice(disk).write(block_size_bytes, block));
  ASSERT_TRUE(MemoryDevice(disk).write_durable(2 * block_size_bytes, block));
  std::vector<std::byte> read(block_size_bytes);
  for (const std::uint64_t number : {1U, 2U}) {
    ASSERT_TRUE(MemoryDevice(disk, Access::read_only).read(number * block_size_bytes, read));
    EXPECT_EQ(read, block);
  }
}

TEST(MemoryDeviceTest, RefusesWhatIsBeyondTheEnd) {
  MemoryDevice device(std::make_shared<MemoryDisk>(2 * block_size_bytes));
  std::vector<std::byte> block(block_size_bytes);
  EXPECT_EQ(device.read(2 * block_size_bytes, block).error().kind(), ErrorKind::io);
  EXPECT_EQ(device.write(~std::uint64_t{4095}, block).error().kind(), ErrorKind::io);
  ASSERT_TRUE(device.resize(3 * block_size_bytes));
  EXPECT_TRUE(device.write(2 * block_size_bytes, block));
  EXPECT_EQ(device.resize(block_size_bytes).error().kind(), ErrorKind::invalid_argument);
}

TEST(MemoryDeviceTest, HasOneOwner) {
  const auto disk = std::make_shared<MemoryDisk>(block_size_bytes);
  auto first = std::make_unique<MemoryDevice>(disk);
  MemoryDevice second(disk);
  ASSERT_TRUE(first->lock_for_writing());
  EXPECT_EQ(second.lock_for_writing().error().kind(), ErrorKind::in_use);
  second.unlock(); // Not its own to give up.
  EXPECT_EQ(second.lock_for_writing().error().kind(), ErrorKind::in_use);
  first.reset();
  EXPECT_TRUE(second.lock_for_writing());
  EXPECT_EQ(MemoryDevice(disk, Access::read_only).lock_for_writing().error().kind(),
            ErrorKind::read_only);
}

} // namespace
} // namespace vnvram
