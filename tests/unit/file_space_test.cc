// What a sparse file lacks is allocated, and nothing else changes.
#include "device/file_space.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "device/file_device.h"
#include "device/space_keeper.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t file_size_bytes = std::uint64_t{3} << 20U;

std::array<ByteRange, 1> range(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  return {{{offset_bytes, length_bytes}}};
}

class FileSpace : public testing::Test {
protected:
  /// Data at these places, of a block each, and holes in between.
  void make_sparse(std::initializer_list<std::uint64_t> places) {
    fd_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(::ftruncate(fd_.get(), file_size_bytes), 0);
    const std::string block(block_size_bytes, 'x');
    for (const std::uint64_t place : places) {
      ASSERT_EQ(::pwrite(fd_.get(), block.data(), block.size(), static_cast<off_t>(place)),
                static_cast<ssize_t>(block.size()));
    }
    ASSERT_EQ(::fsync(fd_.get()), 0);
  }
  [[nodiscard]] std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] std::uint64_t first_hole() const {
    return static_cast<std::uint64_t>(::lseek(fd_.get(), 0, SEEK_HOLE));
  }
  [[nodiscard]] std::uint64_t allocated_bytes() const {
    struct stat status = {};
    EXPECT_EQ(::fstat(fd_.get(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("image");
  UniqueFd fd_;
};

TEST_F(FileSpace, HolesAreFilledAndReadAsBefore) {
  for (const std::uint64_t place : {std::uint64_t{0}, std::uint64_t{1} << 20U}) {
    make_sparse({place, file_size_bytes - 2 * block_size_bytes});
    const std::string before = content();
    ASSERT_LT(first_hole(), file_size_bytes) << "this file system has no holes";
    ASSERT_OK(reserve_file_space(fd_.get(), path_, {0, file_size_bytes}, MissingSpace::written));
    EXPECT_EQ(first_hole(), file_size_bytes);
    EXPECT_GE(allocated_bytes(), file_size_bytes);
    EXPECT_EQ(content(), before);
    ASSERT_OK(reserve_file_space(fd_.get(), path_, {0, file_size_bytes}, MissingSpace::written));
    EXPECT_EQ(content(), before);
  }
}

TEST_F(FileSpace, AllocatedIsEnoughWhereNothingMayBeWritten) {
  make_sparse({block_size_bytes});
  const std::string before = content();
  ASSERT_OK(reserve_file_space(fd_.get(), path_, {0, file_size_bytes}, MissingSpace::allocated));
  EXPECT_GE(allocated_bytes(), file_size_bytes);
  EXPECT_EQ(content(), before);
}

TEST_F(FileSpace, OnlyWhatTheImageHasAndNeverMoreThanTheFile) {
  make_sparse({});
  ASSERT_OK(reserve_file_space(fd_.get(), path_, {0, file_size_bytes / 3}, MissingSpace::written));
  EXPECT_EQ(first_hole(), file_size_bytes / 3);
  const auto device = FileDevice::open(path_, Access::read_write);
  ASSERT_OK(device);
  ASSERT_OK(ensure_space(**device, range(0, file_size_bytes * 2)));
  EXPECT_EQ(first_hole(), file_size_bytes);
  EXPECT_EQ(content().size(), file_size_bytes);
}

TEST_F(FileSpace, RangesApartAreReservedAndNothingBetween) {
  make_sparse({});
  const auto device = FileDevice::open(path_, Access::read_write);
  ASSERT_OK(device);
  constexpr std::uint64_t third = file_size_bytes / 3;
  const std::array<ByteRange, 3> ranges = {
      {{0, third}, {2 * third, file_size_bytes}, {2 * file_size_bytes, third}}};
  ASSERT_OK(ensure_space(**device, ranges));
  EXPECT_EQ(first_hole(), third);
  EXPECT_EQ(::lseek(fd_.get(), third, SEEK_DATA), static_cast<off_t>(2 * third));
  EXPECT_EQ(::lseek(fd_.get(), 2 * third, SEEK_HOLE), static_cast<off_t>(file_size_bytes));
  EXPECT_EQ(content().size(), file_size_bytes);
}

TEST_F(FileSpace, IgnoredSpaceIsNotLookedAt) {
  make_sparse({});
  const auto device = FileDevice::open(path_, Access::read_write);
  ASSERT_OK(device);
  set_space_policy(**device, SpacePolicy::ignore);
  ASSERT_OK(ensure_space(**device, range(0, file_size_bytes)));
  EXPECT_EQ(first_hole(), 0U);
}

class Keeper final : public SpaceKeeper {
public:
  Status answer;
  int calls = 0;

private:
  Status reserve_space(const ByteRange& /*range*/) override {
    ++calls;
    return answer;
  }
};

TEST(SpaceKeeper, DoesWhatItsPolicySays) {
  const Error full(ErrorKind::no_space, "full");
  Keeper strict;
  strict.answer = full;
  EXPECT_EQ(strict.ensure_space(range(0, 1)).error().kind(), ErrorKind::no_space);
  EXPECT_EQ(strict.ensure_space(range(0, 1)).error().kind(), ErrorKind::no_space) << "asked again";
  strict.answer = {};
  EXPECT_TRUE(strict.ensure_space(range(0, 1)).ok());
  strict.answer = full;
  EXPECT_TRUE(strict.ensure_space(range(0, 1)).ok()) << "what was reserved stays so";
  EXPECT_EQ(strict.calls, 3);

  std::vector<std::string> warnings;
  Keeper lenient;
  lenient.answer = full;
  lenient.set_policy(SpacePolicy::warn,
                     [&](const Error& error) { warnings.push_back(error.cause()); });
  EXPECT_TRUE(lenient.ensure_space(range(0, 1)).ok());
  EXPECT_TRUE(lenient.ensure_space(range(0, 1)).ok());
  EXPECT_EQ(warnings, std::vector<std::string>{"full"});

  Keeper blind;
  blind.answer = full;
  blind.set_policy(SpacePolicy::ignore, {});
  EXPECT_TRUE(blind.ensure_space(range(0, 1)).ok());
  EXPECT_EQ(blind.calls, 0);
}

TEST(SpaceKeeper, PoliciesByName) {
  EXPECT_EQ(*parse_space_policy("reserve"), SpacePolicy::reserve);
  EXPECT_EQ(*parse_space_policy("warn"), SpacePolicy::warn);
  EXPECT_EQ(*parse_space_policy("ignore"), SpacePolicy::ignore);
  for (const char* text : {"", "Reserve", "no"}) {
    EXPECT_FALSE(parse_space_policy(text).ok());
  }
}

} // namespace
} // namespace vnvram::test
