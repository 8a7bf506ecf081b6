// open_device and FileDevice on a host block device: a loop device, so it needs root.
#include <gtest/gtest.h>

#include "device/file_device.h"
#include "support/process.h"
#include "support/temporary_directory.h"

namespace vnvram {
namespace {

constexpr std::uint64_t device_size_bytes = std::uint64_t{4} << 20U;

class BlockDeviceTest : public testing::Test {
protected:
  void SetUp() override {
    const test::Outcome outcome = test::run(
        {"losetup", "--find", "--show", directory_.make_file("image", device_size_bytes)});
    ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
    path_ = outcome.output.substr(0, outcome.output.find('\n'));
  }
  void TearDown() override {
    if (!path_.empty()) {
      const test::Outcome outcome = test::run({"losetup", "--detach", path_});
      EXPECT_EQ(outcome.exit_status, 0) << outcome.output;
    }
  }
  std::unique_ptr<FileDevice> open() {
    auto device = FileDevice::open(path_, Access::read_write);
    EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().text());
    return std::move(*device);
  }

  test::TemporaryDirectory directory_;
  std::string path_;
};

TEST_F(BlockDeviceTest, ReadsReturnWhatAnyKindOfWriteWrote) {
  const auto device = open();
  EXPECT_EQ(*device->size_bytes(), device_size_bytes);
  std::vector<std::byte> read(block_size_bytes);
  for (int round = 1; round <= 6; ++round) {
    const std::vector<std::byte> block(block_size_bytes, static_cast<std::byte>(round));
    const std::uint64_t offset = device_size_bytes - block_size_bytes;
    ASSERT_TRUE(round % 2 == 0 ? device->write(offset, block)
                               : device->write_durable(offset, block));
    ASSERT_TRUE(device->flush());
    ASSERT_TRUE(device->read(offset, read));
    EXPECT_EQ(read, block);
  }
  EXPECT_EQ(device->write(device_size_bytes, read).error().kind(), ErrorKind::io);
}

TEST_F(BlockDeviceTest, IsOpenedForWritingOnce) {
  auto device = open();
  const auto second = open_device(path_, Access::read_write);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind(), ErrorKind::in_use);
  EXPECT_TRUE(open_device(path_, Access::read_only).ok());
  device.reset();
  EXPECT_TRUE(open_device(path_, Access::read_write).ok());
}

TEST_F(BlockDeviceTest, QemuCannotWriteWhatWeOwn) {
  const auto device = open();
  ASSERT_TRUE(device->lock_for_writing());
  const test::Outcome write = test::run({"qemu-io", "-f", "raw", "-c", "write -P 1 0 512", path_});
  EXPECT_NE(write.exit_status, 0);
  EXPECT_NE(write.output.find("Failed to get"), std::string::npos) << write.output;
  device->unlock();
  const test::Outcome after = test::run({"qemu-io", "-f", "raw", "-c", "write -P 1 0 512", path_});
  EXPECT_EQ(after.exit_status, 0) << after.output;
}

TEST_F(BlockDeviceTest, WeCannotWriteWhatQemuHas) {
  const auto device = open();
  test::Process qemu({"qemu-io", "-f", "raw", path_});
  qemu.write("write -P 1 0 512\n");
  ASSERT_TRUE(qemu.wait_for_output("wrote 512/512")) << qemu.output();
  EXPECT_EQ(device->lock_for_writing().error().kind(), ErrorKind::in_use);
  EXPECT_EQ(qemu.finish(), 0) << qemu.output();
  EXPECT_TRUE(device->lock_for_writing());
}

TEST_F(BlockDeviceTest, DiscardsAndDoesNotGrow) {
  const auto device = open();
  EXPECT_TRUE(device->capabilities().discard);
  EXPECT_TRUE(device->discard(0, device_size_bytes));
  EXPECT_FALSE(device->capabilities().resize);
  EXPECT_TRUE(device->resize(device_size_bytes));
  EXPECT_EQ(device->resize(2 * device_size_bytes).error().kind(), ErrorKind::unsupported);
}

} // namespace
} // namespace vnvram
