// A file that a copy is to take the name of.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "backup/block_copy.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"
#include "vnvram/open_device.h"

namespace vnvram::test {
namespace {

class ReplacedFileTest : public ::testing::Test {
protected:
  void SetUp() override {
    CreateOptions options;
    options.blobs.push_back({.spec = spec("a", 1000)});
    ASSERT_OK(create_image_file(path_, 0, options));
  }
  static Bytes bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }

  const TemporaryDirectory folder_;
  const std::string path_ = folder_.path("vm.nvram");
};

TEST_F(ReplacedFileTest, WhatIsItsSourceKeepsItsName) {
  const Bytes before = bytes_of(path_);
  const auto source = open_device(path_, Access::read_only);
  ASSERT_OK(source);
  BlockCopyTarget target{.path = path_, .force = true};
  EXPECT_KIND(copy_blocks({.device = **source}, target), invalid_argument);
  EXPECT_EQ(bytes_of(path_), before);
  struct stat now {};
  ASSERT_EQ(::stat(path_.c_str(), &now), 0);
  EXPECT_EQ(now.st_nlink, 1U);
  EXPECT_OK((*source)->check_name());
}

TEST_F(ReplacedFileTest, YesterdaysCopyIsAnotherStorage) {
  BlockCopyTarget target{.path = folder_.path("copy.nvram"), .force = true};
  std::filesystem::copy_file(path_, target.path);
  const auto source = open_device(path_, Access::read_only);
  ASSERT_OK(source);
  EXPECT_OK(copy_blocks({.device = **source}, target));
}

} // namespace
} // namespace vnvram::test
