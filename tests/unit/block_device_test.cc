// open_device and FileDevice on a host block device: a loop device, so it needs root.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "base/aligned_buffer.h"
#include "device/file_device.h"
#include "support/process.h"
#include "support/temporary_directory.h"

namespace vnvram {
namespace {

constexpr std::uint64_t device_size_bytes = std::uint64_t{4} << 20U;

class BlockDeviceTest : public testing::Test {
protected:
  void SetUp() override {
    file_ = directory_.make_file("image", device_size_bytes);
    attach("--direct-io=off", path_);
  }
  void TearDown() override {
    for (const std::string& path : {path_, other_path_}) {
      if (!path.empty()) {
        const test::Outcome outcome = test::run({"losetup", "--detach", path});
        EXPECT_EQ(outcome.exit_status, 0) << outcome.output;
      }
    }
  }
  void attach(const std::string& direct_io, std::string& path) {
    const test::Outcome outcome = test::run({"losetup", "--find", "--show", direct_io, file_});
    ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
    path = outcome.output.substr(0, outcome.output.find('\n'));
  }
  static std::unique_ptr<FileDevice> open(const std::string& path,
                                          Access access = Access::read_write) {
    auto device = FileDevice::open(path, access);
    EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().text());
    return std::move(*device);
  }
  std::unique_ptr<FileDevice> open() { return open(path_); }

  test::TemporaryDirectory directory_;
  std::string file_;
  std::string path_;
  std::string other_path_;
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

std::vector<std::byte> block_of(int value) {
  return std::vector<std::byte>(block_size_bytes, static_cast<std::byte>(value));
}

// Each of them has a page cache of its own: what is read must come from what is behind both.
TEST_F(BlockDeviceTest, AnotherLoopDevicesWritesAreSeen) {
  for (const char* direct_io : {"--direct-io=off", "--direct-io=on"}) {
    attach(direct_io, other_path_);
    ASSERT_FALSE(other_path_.empty());
    for (const Access access : {Access::read_write, Access::read_only}) {
      const auto device = open(path_, access);
      const auto other = open(other_path_);
      std::vector<std::byte> long_read(64 * block_size_bytes);
      ASSERT_TRUE(device->read(0, long_read));
      for (int value = 1; value <= 3; ++value) {
        ASSERT_TRUE(other->write_durable(block_size_bytes, block_of(value)));
        std::vector<std::byte> read(block_size_bytes);
        ASSERT_TRUE(device->read(block_size_bytes, read));
        EXPECT_EQ(read, block_of(value));
        std::vector<std::byte> unaligned(block_size_bytes + 1);
        ASSERT_TRUE(device->read(block_size_bytes, std::span(unaligned).subspan(1)));
        EXPECT_TRUE(std::equal(read.begin(), read.end(), unaligned.begin() + 1));
      }
    }
    const auto device = open();
    const auto other = open(other_path_);
    EXPECT_TRUE(device->capabilities().read_beside_write);
    AlignedBuffer data(block_size_bytes);
    AlignedBuffer read(2 * block_size_bytes);
    for (int value = 4; value <= 8; ++value) {
      std::fill(data.span().begin(), data.span().end(), static_cast<std::byte>(value));
      ASSERT_TRUE(other->write_durable(block_size_bytes, data.span()));
      ASSERT_TRUE(
          device->write_durable_and_read(8 * block_size_bytes, data.span(), 0, read.span()));
      EXPECT_EQ(
          std::memcmp(read.span().data() + block_size_bytes, data.span().data(), block_size_bytes),
          0);
      std::vector<std::byte> written(block_size_bytes);
      ASSERT_TRUE(other->read(8 * block_size_bytes, written));
      EXPECT_EQ(written, block_of(value));
    }
    EXPECT_FALSE(
        device->write_durable_and_read(device_size_bytes, data.span(), 0, read.span()).ok());
    EXPECT_FALSE(
        device->write_durable_and_read(0, data.span(), device_size_bytes, read.span()).ok());
    const test::Outcome outcome = test::run({"losetup", "--detach", other_path_});
    EXPECT_EQ(outcome.exit_status, 0) << outcome.output;
    other_path_.clear();
  }
}

// Programs that copy the device read through the page cache: what they had in it does not stay.
TEST_F(BlockDeviceTest, AReaderBesideUsSeesEachRecord) {
  const auto device = open();
  AlignedBuffer data(block_size_bytes);
  AlignedBuffer superblocks(2 * block_size_bytes);
  const UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> read(block_size_bytes);
  for (int value = 1; value <= 20; ++value) {
    ASSERT_EQ(::pread(reader.get(), read.data(), read.size(), block_size_bytes),
              static_cast<ssize_t>(read.size()));
    std::fill(data.span().begin(), data.span().end(), static_cast<std::byte>(value));
    ASSERT_TRUE(
        device->write_durable_and_read(block_size_bytes, data.span(), 0, superblocks.span()));
    ASSERT_EQ(::pread(reader.get(), read.data(), read.size(), block_size_bytes),
              static_cast<ssize_t>(read.size()));
    EXPECT_EQ(read, block_of(value));
  }
}

TEST_F(BlockDeviceTest, AQueueIsMadeAnewInAChild) {
  const auto device = open();
  AlignedBuffer data(block_size_bytes);
  AlignedBuffer read(2 * block_size_bytes);
  ASSERT_TRUE(device->write_durable_and_read(block_size_bytes, data.span(), 0, read.span()));
  EXPECT_EXIT(
      {
        std::fill(data.span().begin(), data.span().end(), std::byte{9});
        const bool done =
            device->write_durable_and_read(2 * block_size_bytes, data.span(), 0, read.span()).ok();
        ::_exit(done ? 7 : 1);
      },
      testing::ExitedWithCode(7), "");
  ASSERT_TRUE(device->write_durable_and_read(block_size_bytes, data.span(), 0, read.span()));
  std::vector<std::byte> written(block_size_bytes);
  ASSERT_TRUE(device->read(2 * block_size_bytes, written));
  EXPECT_EQ(written, block_of(9));
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

TEST_F(BlockDeviceTest, DoesNotGrow) {
  const auto device = open();
  EXPECT_FALSE(device->capabilities().resize);
  EXPECT_TRUE(device->resize(device_size_bytes));
  EXPECT_EQ(device->resize(2 * device_size_bytes).error().kind(), ErrorKind::unsupported);
}

} // namespace
} // namespace vnvram
