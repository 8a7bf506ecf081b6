// open_device and FileDevice on regular files: what is refused, what is read after what was
// written.
#include "device/file_device.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/aligned_buffer.h"
#include "base/unique_fd.h"
#include "support/temporary_directory.h"

namespace vnvram {
namespace {

constexpr std::uint64_t file_size_bytes = 64 * block_size_bytes;

class FileDeviceTest : public testing::Test {
protected:
  std::unique_ptr<FileDevice> open(Access access = Access::read_write) {
    Result<std::unique_ptr<FileDevice>> device = FileDevice::open(path_, access);
    EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().text());
    return std::move(*device);
  }

  bool on_tmpfs() const {
    struct statfs status = {};
    return ::statfs(path_.c_str(), &status) == 0 && status.f_type == TMPFS_MAGIC;
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_.make_file("image", file_size_bytes);
};

std::vector<std::byte> bytes_of(std::size_t size, int value) {
  return std::vector<std::byte>(size, static_cast<std::byte>(value));
}

ErrorKind open_error(const std::string& path) {
  const auto device = open_device(path, Access::read_write);
  EXPECT_FALSE(device.ok());
  EXPECT_NE(device.error().text().find(path), std::string::npos);
  return device.error().kind();
}

class DescriptorTest : public FileDeviceTest {
protected:
  std::string opened(int flags) {
    given_ = UniqueFd(::open(path_.c_str(), flags | O_CLOEXEC));
    return "fd:" + std::to_string(given_.get());
  }
  ErrorKind refusal(int flags, Access access) {
    const auto device = open_device(opened(flags), access);
    EXPECT_FALSE(device.ok());
    EXPECT_NE(device.error().text().find(path_), std::string::npos);
    return device.error().kind();
  }

  UniqueFd given_;
};

TEST_F(DescriptorTest, IsReadAndWrittenAndCalledByItsName) {
  const std::string location = opened(O_RDWR);
  const auto device = open_device(location, Access::read_write);
  ASSERT_TRUE(device.ok());
  EXPECT_EQ((*device)->name(), std::filesystem::canonical(path_));
  EXPECT_EQ(*(*device)->size_bytes(), file_size_bytes);
  AlignedBuffer data(block_size_bytes);
  std::fill(data.span().begin(), data.span().end(), std::byte{7});
  ASSERT_TRUE((*device)->write_durable(block_size_bytes, data.span()).ok());
  std::vector<std::byte> there(block_size_bytes);
  ASSERT_TRUE(open(Access::read_only)->read(block_size_bytes, there).ok());
  EXPECT_TRUE(std::equal(there.begin(), there.end(), data.span().begin()));
  // Who has given it has it still, as it was.
  EXPECT_EQ(::fcntl(given_.get(), F_GETFL) & (O_ACCMODE | O_DIRECT), O_RDWR);
}

TEST_F(DescriptorTest, IsLockedAgainstWhoOpensItByName) {
  auto device = open_device(opened(O_RDWR), Access::read_write);
  ASSERT_TRUE(device.ok());
  ASSERT_TRUE((*device)->lock_for_writing().ok());
  EXPECT_EQ(open()->lock_for_writing().error().kind(), ErrorKind::in_use);
  EXPECT_EQ((*open_device(opened(O_RDWR), Access::read_write))->lock_for_writing().error().kind(),
            ErrorKind::in_use);
}

TEST_F(DescriptorTest, OpenInAnotherWayIsRefused) {
  EXPECT_EQ(refusal(O_RDONLY, Access::read_write), ErrorKind::read_only);
  EXPECT_EQ(refusal(O_WRONLY, Access::read_write), ErrorKind::read_only);
  EXPECT_EQ(refusal(O_WRONLY, Access::read_only), ErrorKind::unsupported);
  EXPECT_EQ(refusal(O_RDWR | O_APPEND, Access::read_write), ErrorKind::unsupported);
  EXPECT_TRUE(open_device(opened(O_RDONLY), Access::read_only).ok());
  EXPECT_EQ(open_error("fd:999"), ErrorKind::absent);
  EXPECT_EQ(open_error("fd:1"), ErrorKind::absent);
  EXPECT_EQ(open_error("fd:"), ErrorKind::absent);
}

TEST_F(FileDeviceTest, OpeningTellsApartWhatIsNoImage) {
  EXPECT_EQ(open_error(directory_.path("nothing")), ErrorKind::absent);
  EXPECT_EQ(open_error(path_ + "/below-a-file"), ErrorKind::absent);
  EXPECT_EQ(open_error(directory_.path("")), ErrorKind::unsupported);
  ASSERT_EQ(::mkfifo(directory_.path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(open_error(directory_.path("pipe")), ErrorKind::unsupported);
  EXPECT_EQ(open_error("/dev/null"), ErrorKind::unsupported);
}

TEST_F(FileDeviceTest, ReadsReturnWhatAnyKindOfWriteWrote) {
  const auto device = open();
  // Every block is first in the page cache, then written by the other way, twice over.
  AlignedBuffer aligned(2 * block_size_bytes);
  for (int round = 1; round <= 4; ++round) {
    for (std::uint64_t block = 0; block + 2 <= 64; block += 2) {
      const auto value = static_cast<std::byte>(round * 60 + static_cast<int>(block));
      std::fill(aligned.span().begin(), aligned.span().end(), value);
      const std::uint64_t offset = block * block_size_bytes;
      ASSERT_TRUE(round % 2 == 0 ? device->write(offset, aligned.span())
                                 : device->write_durable(offset, aligned.span()));
      ASSERT_TRUE(device->flush());
      std::vector<std::byte> read(2 * block_size_bytes);
      ASSERT_TRUE(device->read(offset, read));
      EXPECT_EQ(std::memcmp(read.data(), aligned.span().data(), read.size()), 0)
          << "round " << round << " block " << block;
    }
  }
}

TEST_F(FileDeviceTest, AnotherReaderSeesADirectWriteOfWhatItHadCached) {
  const auto writer = open();
  const auto reader = open(Access::read_only);
  std::vector<std::byte> read(block_size_bytes);
  ASSERT_TRUE(reader->read(block_size_bytes, read));
  ASSERT_TRUE(writer->write_durable(block_size_bytes, bytes_of(block_size_bytes, 7)));
  ASSERT_TRUE(reader->read(block_size_bytes, read));
  EXPECT_EQ(read, bytes_of(block_size_bytes, 7));
}

TEST_F(FileDeviceTest, UnalignedBuffersAreWrittenInFull) {
  const auto device = open();
  std::vector<std::byte> memory(5 * block_size_bytes);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    memory[i] = static_cast<std::byte>(i % 251);
  }
  const std::size_t shift =
      1 + (block_size_bytes - reinterpret_cast<std::uintptr_t>(memory.data()) % block_size_bytes);
  const std::span<const std::byte> data =
      std::span(memory).subspan(shift % block_size_bytes, 3 * block_size_bytes);
  ASSERT_TRUE(device->write_durable(block_size_bytes, data));
  std::vector<std::byte> read(5 * block_size_bytes);
  ASSERT_TRUE(device->read(0, read));
  EXPECT_EQ(std::memcmp(read.data() + block_size_bytes, data.data(), data.size()), 0);
  EXPECT_EQ(read[0], std::byte{0});
  EXPECT_EQ(read[4 * block_size_bytes], std::byte{0});
}

// A length that direct I/O cannot write stands for a file system that opens with O_DIRECT and then
// refuses the write: the answer is the same EINVAL.
TEST_F(FileDeviceTest, ARefusedDirectWriteGoesThroughThePageCache) {
  const auto device = open();
  ASSERT_TRUE(device->write_durable(block_size_bytes, bytes_of(100, 9)));
  ASSERT_TRUE(device->write_durable(2 * block_size_bytes, bytes_of(block_size_bytes, 8)));
  std::vector<std::byte> read(2 * block_size_bytes);
  ASSERT_TRUE(device->read(block_size_bytes, read));
  std::vector<std::byte> expected = bytes_of(2 * block_size_bytes, 8);
  std::fill_n(expected.begin(), block_size_bytes, std::byte{0});
  std::fill_n(expected.begin(), 100, std::byte{9});
  EXPECT_EQ(read, expected);
}

TEST_F(FileDeviceTest, BeyondTheEndIsAnErrorAndChangesNothing) {
  const auto device = open();
  std::vector<std::byte> block = bytes_of(block_size_bytes, 1);
  for (const std::uint64_t offset :
       {file_size_bytes, file_size_bytes - 512, ~std::uint64_t{4095}}) {
    EXPECT_EQ(device->read(offset, block).error().kind(), ErrorKind::io);
    EXPECT_EQ(device->write(offset, block).error().kind(), ErrorKind::io);
    EXPECT_EQ(device->write_durable(offset, block).error().kind(), ErrorKind::io);
  }
  EXPECT_EQ(std::filesystem::file_size(path_), file_size_bytes);
}

TEST_F(FileDeviceTest, AFileThatIsCutShortWhileOpenIsAnError) {
  const auto device = open();
  std::filesystem::resize_file(path_, 512);
  std::vector<std::byte> block(block_size_bytes);
  const Status status = device->read(0, block);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::io);
  EXPECT_NE(status.error().cause().find(path_), std::string::npos);
}

TEST_F(FileDeviceTest, ReadOnlyRefusesEverythingThatWrites) {
  const auto device = open(Access::read_only);
  const std::vector<std::byte> block = bytes_of(block_size_bytes, 1);
  EXPECT_FALSE(device->capabilities().write);
  EXPECT_EQ(device->write(0, block).error().kind(), ErrorKind::read_only);
  EXPECT_EQ(device->write_durable(0, block).error().kind(), ErrorKind::read_only);
  EXPECT_EQ(device->resize(2 * file_size_bytes).error().kind(), ErrorKind::read_only);
  EXPECT_EQ(device->lock_for_writing().error().kind(), ErrorKind::read_only);
  EXPECT_TRUE(device->flush());
}

/// How many of the file's blocks are in the page cache.
std::size_t cached_blocks(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  void* mapped = ::mmap(nullptr, file_size_bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  EXPECT_NE(mapped, MAP_FAILED);
  std::vector<unsigned char> resident(file_size_bytes / block_size_bytes);
  EXPECT_EQ(::mincore(mapped, file_size_bytes, resident.data()), 0);
  ::munmap(mapped, file_size_bytes);
  return static_cast<std::size_t>(
      std::count_if(resident.begin(), resident.end(), [](auto flags) { return (flags & 1) != 0; }));
}

// What an owner before us left in the page cache need not be what the disk holds.
TEST_F(FileDeviceTest, ANewOwnerReadsFromTheDiskAndNotFromTheCache) {
  const auto device = open();
  std::vector<std::byte> all(file_size_bytes);
  ASSERT_TRUE(device->write(0, bytes_of(file_size_bytes, 3)));
  ASSERT_GT(cached_blocks(path_), 0U);
  ASSERT_TRUE(device->lock_for_writing());
  if (on_tmpfs()) {
    // No disk is behind it: there is nothing to read instead, and no write-back that could fail.
    GTEST_SKIP() << "on tmpfs no disk is behind the page cache: nothing else could be read";
  }
  EXPECT_EQ(cached_blocks(path_), 0U);
  ASSERT_TRUE(device->read(0, all));
  EXPECT_EQ(all, bytes_of(file_size_bytes, 3));
}

TEST_F(FileDeviceTest, GrowingAllocatesEverythingAndKeepsTheOldBytes) {
  const auto device = open();
  ASSERT_TRUE(device->write(0, bytes_of(block_size_bytes, 5)));
  ASSERT_TRUE(device->resize(3 * file_size_bytes));
  EXPECT_EQ(*device->size_bytes(), 3 * file_size_bytes);
  ASSERT_TRUE(device->flush());
  struct stat status = {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, 3 * file_size_bytes);
  std::vector<std::byte> read(2 * file_size_bytes);
  ASSERT_TRUE(device->read(file_size_bytes, read));
  EXPECT_EQ(read, bytes_of(2 * file_size_bytes, 0));
  read.resize(block_size_bytes);
  ASSERT_TRUE(device->read(0, read));
  EXPECT_EQ(read, bytes_of(block_size_bytes, 5));
  EXPECT_TRUE(
      device->write_durable(3 * file_size_bytes - block_size_bytes, bytes_of(block_size_bytes, 6)));
}

TEST_F(FileDeviceTest, GrowingThatCannotBeLeavesTheSize) {
  const auto device = open();
  EXPECT_EQ(device->resize(file_size_bytes - block_size_bytes).error().kind(),
            ErrorKind::invalid_argument);
  EXPECT_EQ(device->resize(std::uint64_t{1} << 60U).error().kind(), ErrorKind::no_space);
  EXPECT_EQ(std::filesystem::file_size(path_), file_size_bytes);
  EXPECT_TRUE(device->resize(file_size_bytes));
}

} // namespace
} // namespace vnvram
