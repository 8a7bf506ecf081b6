// The right to write a file: between two of ours, and against the real QEMU tools in both
// directions.
#include <fcntl.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "device/place_probe.h"
#include "support/process.h"
#include "support/temporary_directory.h"
#include "vnvram/open_device.h"

namespace vnvram {
namespace {

using test::Outcome;
using test::Process;
using test::run;

class FileLockTest : public testing::Test {
protected:
  std::unique_ptr<BlockDevice> open(Access access = Access::read_write) {
    auto device = open_device(path_, access);
    EXPECT_TRUE(device.ok());
    return std::move(*device);
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_.make_file("image", std::uint64_t{1} << 20U);
};

TEST_F(FileLockTest, ASecondOwnerIsRefusedUntilTheFirstGivesItUp) {
  auto first = open();
  auto second = open();
  ASSERT_TRUE(first->lock_for_writing());
  const Status refused = second->lock_for_writing();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::in_use);
  EXPECT_NE(refused.error().cause().find(path_), std::string::npos);
  first->unlock();
  EXPECT_TRUE(second->lock_for_writing());
  EXPECT_EQ(first->lock_for_writing().error().kind(), ErrorKind::in_use);
  second.reset();
  EXPECT_TRUE(first->lock_for_writing());
}

/// Of the descriptors that this process writes a file by: how many there are, and how many of them
/// are of an open file description with a lock of its own.
struct Writers {
  int all = 0;
  int locked = 0;
};

Writers writers_of(const std::string& path) {
  Writers found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone; // The one of the folder itself.
    const int fd = std::stoi(entry.path().filename());
    if (std::filesystem::read_symlink(entry.path(), gone) != path ||
        (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
      continue;
    }
    std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
    const std::string text(std::istreambuf_iterator<char>(file), {});
    ++found.all;
    found.locked += text.find("\nlock:") == std::string::npos ? 0 : 1;
  }
  return found;
}

// Or an NFS server takes what an owner whose lock it has given away had under way.
TEST_F(FileLockTest, WhateverAnOwnerWritesByHasALock) {
  const auto owner = open();
  ASSERT_TRUE(owner->lock_for_writing());
  const Writers writers = writers_of(path_);
  EXPECT_GE(writers.all, 1);
  EXPECT_EQ(writers.locked, writers.all);
  owner->unlock();
  EXPECT_EQ(writers_of(path_).locked, 0);
}

TEST_F(FileLockTest, WhoLooksSeesItAndTakesNothing) {
  const auto owner = open();
  EXPECT_TRUE(look_for_owner(path_));
  ASSERT_TRUE(owner->lock_for_writing());
  const Status seen = look_for_owner(path_);
  ASSERT_FALSE(seen.ok());
  EXPECT_EQ(seen.error().kind(), ErrorKind::in_use);
  owner->unlock();
  EXPECT_TRUE(look_for_owner(path_));
  EXPECT_TRUE(owner->lock_for_writing());
}

TEST_F(FileLockTest, OfManyAtTheSameMomentExactlyOneWins) {
  constexpr int competitors = 4;
  for (int round = 0; round < 200; ++round) {
    std::latch start(competitors);
    std::latch end(competitors);
    std::atomic<int> winners = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < competitors; ++i) {
      threads.emplace_back([&] {
        const auto device = open();
        start.arrive_and_wait();
        winners += device->lock_for_writing().ok() ? 1 : 0;
        end.arrive_and_wait(); // No one gives it up before all have tried.
      });
    }
    threads.clear();
    ASSERT_EQ(winners.load(), 1) << "round " << round;
  }
}

TEST_F(FileLockTest, AFileThatWasReplacedSinceItWasOpenedIsRefused) {
  const auto device = open();
  const std::string other = directory_.make_file("other", std::uint64_t{1} << 20U);
  std::filesystem::rename(other, path_);
  EXPECT_EQ(device->lock_for_writing().error().kind(), ErrorKind::in_use);
  EXPECT_TRUE(open()->lock_for_writing());
}

TEST_F(FileLockTest, QemuCannotWriteWhatWeOwn) {
  auto device = open();
  ASSERT_TRUE(device->lock_for_writing());
  const Outcome write = run({"qemu-io", "-f", "raw", "-c", "write -P 1 0 512", path_});
  EXPECT_NE(write.exit_status, 0);
  EXPECT_NE(write.output.find("Failed to get"), std::string::npos) << write.output;
  EXPECT_NE(run({"qemu-img", "resize", "-f", "raw", path_, "2M"}).exit_status, 0);
  const Outcome info = run({"qemu-img", "info", "-U", path_});
  EXPECT_EQ(info.exit_status, 0) << info.output;

  device->unlock();
  const Outcome after = run({"qemu-io", "-f", "raw", "-c", "write -P 1 0 512", path_});
  EXPECT_EQ(after.exit_status, 0) << after.output;
}

TEST_F(FileLockTest, WeCannotWriteWhatQemuHas) {
  const auto device = open();
  {
    Process qemu({"qemu-io", "-f", "raw", path_});
    qemu.write("write -P 1 0 512\n");
    ASSERT_TRUE(qemu.wait_for_output("wrote 512/512")) << qemu.output();
    const Status refused = device->lock_for_writing();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::in_use);
    // The refusal left no lock behind that would be in QEMU's way.
    EXPECT_EQ(run({"qemu-img", "info", "-U", path_}).exit_status, 0);
    EXPECT_EQ(qemu.finish(), 0) << qemu.output();
  }
  const Outcome free = run({"qemu-img", "info", path_});
  EXPECT_EQ(free.exit_status, 0) << free.output;
  EXPECT_TRUE(device->lock_for_writing());
}

TEST_F(FileLockTest, ReadingNeedsNoLock) {
  const auto owner = open();
  ASSERT_TRUE(owner->lock_for_writing());
  const auto reader = open(Access::read_only);
  std::vector<std::byte> block(block_size_bytes);
  EXPECT_TRUE(reader->read(0, block));
}

} // namespace
} // namespace vnvram
