// The anchor in a file: cut off at any byte, and everything that it must not be.
#include "anchor/file_anchor.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "format/checksum.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/anchor/anchor_points.h"

namespace vnvram::test {
namespace {

constexpr std::size_t slot_bytes = FileAnchor::slot_size_bytes;

class FileAnchorTest : public ::testing::Test {
protected:
  static AnchorPoint at(std::uint64_t generation) {
    AnchorPoint point = example_point();
    point.generation = generation;
    return point;
  }
  std::shared_ptr<FileAnchor> open() const { return FileAnchor::open(path_).value(); }
  void write(std::uint64_t generation) const {
    const Status written = open()->write(at(generation));
    EXPECT_OK(written);
  }
  /// What a process that begins now finds; 0: nothing.
  std::uint64_t found() const {
    const auto point = open()->read();
    EXPECT_OK(point);
    return point && *point ? (*point)->generation : 0;
  }
  std::string bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void put(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::size_t files() const {
    const auto begin = std::filesystem::directory_iterator(directory_.path(""));
    return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator()));
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path("anchor");
};

TEST_F(FileAnchorTest, IsMadeByItsFirstPointAndKeepsTheLast) {
  const auto anchor = open();
  ASSERT_OK(anchor->lock());
  EXPECT_EQ(anchor->read().value(), std::nullopt);
  EXPECT_EQ(files(), 0U);
  for (std::uint64_t generation = 1; generation <= 5; ++generation) {
    ASSERT_OK(anchor->write(at(generation)));
    EXPECT_EQ(anchor->read().value(), at(generation));
    EXPECT_EQ(found(), generation);
  }
  EXPECT_EQ(files(), 1U);
  EXPECT_EQ(bytes().size(), FileAnchor::size_bytes);
  EXPECT_EQ(bytes().find_first_not_of("\n {}\"-:,_") == std::string::npos, false);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

// Whatever part of a slot has reached the disk.
TEST_F(FileAnchorTest, CutOffAtAnyByteIsTheOldPointOrTheNewOne) {
  write(1);
  write(2);
  for (std::uint64_t generation = 3; generation <= 4; ++generation) {
    const std::string before = bytes();
    write(generation);
    const std::string after = bytes();
    const std::size_t slot = generation % 2 == 1 ? 0 : slot_bytes;
    ASSERT_EQ(before.substr(slot_bytes - slot, slot_bytes),
              after.substr(slot_bytes - slot, slot_bytes));
    for (std::size_t cut = 0; cut <= slot_bytes; cut += cut < 500 ? 1 : 37) {
      put(before.substr(0, slot) + after.substr(slot, cut) + before.substr(slot + cut));
      const std::uint64_t now = found();
      EXPECT_TRUE(now == generation || now == generation - 1) << cut;
      if (cut < 20) {
        EXPECT_EQ(now, generation - 1) << cut;
      }
    }
    put(after);
    EXPECT_EQ(found(), generation);
  }
}

TEST_F(FileAnchorTest, LosesNothingOlderToARottenSlot) {
  write(1);
  write(2);
  std::string rotten = bytes();
  rotten[slot_bytes + 100] ^= 1;
  put(rotten);
  EXPECT_EQ(found(), 1U);
  write(3); // Over the rotten one.
  EXPECT_EQ(found(), 3U);
  rotten = bytes();
  rotten[slot_bytes + 100] ^= 1;
  put(rotten);
  EXPECT_EQ(found(), 1U);
  rotten[100] ^= 1;
  put(rotten);
  EXPECT_KIND(open()->read(), foreign);
  EXPECT_KIND(open()->write(at(4)), foreign);
  EXPECT_EQ(bytes(), rotten);
}

// As another version may write it. Who accepts the image anew may overwrite it; what is older
// counts for nothing.
TEST_F(FileAnchorTest, APointThatCannotBeReadIsRefusedAndCanBeOverwritten) {
  for (const unsigned slot : {0U, 1U}) {
    put("");
    std::filesystem::remove(path_);
    write(1);
    write(2);
    std::string text = bytes();
    const std::size_t begin = slot * slot_bytes;
    const std::size_t checked = begin + std::string("vnvram-anchor ").size() + 17;
    text.replace(text.find("next_key_id", begin), 4, "less");
    const auto sum = format::checksum(
        std::as_bytes(std::span(text).subspan(checked, begin + slot_bytes - checked)), 0);
    text.replace(checked - 17, 16, fmt::format("{:016x}", sum));
    put(text);
    if (slot == 0) {
      EXPECT_EQ(found(), 2U);
    } else {
      EXPECT_KIND(open()->read(), corrupt);
    }
    write(3);
    EXPECT_EQ(found(), 3U);
  }
}

TEST_F(FileAnchorTest, RefusesWhatIsNoAnchorAndLeavesItAlone) {
  for (const std::string& content :
       {std::string("mine"), std::string(), std::string(FileAnchor::size_bytes + 1, ' ')}) {
    put(content);
    EXPECT_KIND(FileAnchor::open(path_), foreign);
    EXPECT_EQ(bytes(), content);
  }
  const std::string other(FileAnchor::size_bytes, 'x');
  put(other);
  EXPECT_KIND(open()->read(), foreign);
  EXPECT_KIND(open()->write(at(1)), foreign);
  EXPECT_EQ(bytes(), other);
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_KIND(FileAnchor::open(path_), foreign);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_KIND(FileAnchor::open(path_), foreign);
}

TEST_F(FileAnchorTest, RefusesASymbolicLink) {
  write(1);
  const std::string link = directory_.path("link");
  std::filesystem::create_symlink(path_, link);
  EXPECT_KIND(FileAnchor::open(link), foreign);
  const std::string dangling = directory_.path("dangling");
  std::filesystem::create_symlink(directory_.path("nothing"), dangling);
  EXPECT_KIND(FileAnchor::open(dangling), foreign);
}

TEST_F(FileAnchorTest, HasOneOwner) {
  write(1);
  const auto first = open();
  const auto second = open();
  ASSERT_OK(first->lock());
  ASSERT_OK(first->lock());
  EXPECT_KIND(second->lock(), in_use);
  EXPECT_EQ(second->read().value(), at(1)); // Looking is free.
  first->unlock();
  EXPECT_OK(second->lock());
}

TEST_F(FileAnchorTest, IsLockedByWhoMakesIt) {
  const auto first = open();
  const auto second = open();
  ASSERT_OK(first->lock());
  ASSERT_OK(second->lock()); // There is nothing yet.
  ASSERT_OK(first->write(at(1)));
  EXPECT_KIND(second->write(at(2)), exists);
  EXPECT_KIND(open()->lock(), in_use);
  EXPECT_EQ(found(), 1U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(FileAnchorTest, IsNotWrittenWhereNobodyWouldFindIt) {
  write(1);
  const auto anchor = open();
  std::filesystem::remove(path_);
  EXPECT_KIND(anchor->write(at(2)), stale);
  write(1);
  const auto replaced = open();
  const auto other = FileAnchor::open(directory_.path("other")).value();
  ASSERT_OK(other->write(at(7)));
  std::filesystem::rename(directory_.path("other"), path_);
  EXPECT_KIND(replaced->write(at(2)), stale);
  EXPECT_EQ(found(), 7U);
}

TEST_F(FileAnchorTest, SaysWhyItCannotBeMade) {
  const auto nowhere = FileAnchor::open(directory_.path("no/folder/anchor"));
  ASSERT_OK(nowhere);
  EXPECT_KIND((*nowhere)->write(at(1)), io);
}

} // namespace
} // namespace vnvram::test
