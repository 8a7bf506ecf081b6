#include "swtpm/swtpm_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"

namespace vnvram::test {
namespace {

class SwtpmLogTest : public ::testing::Test {
protected:
  [[nodiscard]] LogOption to_file() const {
    LogOption option;
    option.file = path_;
    return option;
  }

  [[nodiscard]] std::string content() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  const TemporaryDirectory folder_;
  const std::string path_ = folder_.path("log");
};

TEST_F(SwtpmLogTest, AFileIsItsOwnersAndGoesOn) {
  ASSERT_OK(SwtpmLog::open(to_file()));
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  SwtpmLog::open(to_file())->lines().info("one");
  SwtpmLog::open(to_file())->lines().warning("two");
  EXPECT_EQ(content(), "one\nwarning: two\n");
}

TEST_F(SwtpmLogTest, AFileIsEmptiedWhenAskedFor) {
  SwtpmLog::open(to_file())->lines().info("old");
  LogOption option = to_file();
  option.truncates = true;
  option.prefix = "tpm> ";
  SwtpmLog::open(option)->lines().error("new");
  EXPECT_EQ(content(), "tpm> error: new\n");
}

TEST_F(SwtpmLogTest, DetailsComeFromTheSecondLevelOn) {
  LogOption option = to_file();
  SwtpmLog::open(option)->lines().debug("not this");
  option.level = 2;
  SwtpmLog::open(option)->lines().debug("this");
  EXPECT_EQ(content(), "debug: this\n");
}

TEST_F(SwtpmLogTest, ALinkIsNotFollowed) {
  const std::string target = folder_.path("target");
  ASSERT_EQ(::symlink(target.c_str(), path_.c_str()), 0);
  EXPECT_KIND(SwtpmLog::open(to_file()), io);
  EXPECT_NE(::access(target.c_str(), F_OK), 0);
}

TEST_F(SwtpmLogTest, ADescriptorHasToBeOpenForWriting) {
  const UniqueFd writing(::open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  LogOption option;
  option.descriptor = writing.get();
  option.prefix = "p: ";
  {
    const auto log = SwtpmLog::open(option);
    ASSERT_OK(log);
    log->lines().info("line");
  }
  EXPECT_EQ(content(), "p: line\n");
  EXPECT_NE(::fcntl(writing.get(), F_GETFD), -1); // It is the caller's.
  const UniqueFd reading(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  option.descriptor = reading.get();
  EXPECT_KIND(SwtpmLog::open(option), invalid_argument);
  option.descriptor = 77777;
  EXPECT_KIND(SwtpmLog::open(option), invalid_argument);
}

TEST_F(SwtpmLogTest, AStartErrorIsSaidOnStderrToo) {
  const auto log = SwtpmLog::open(to_file());
  testing::internal::CaptureStderr();
  log->start_error("no storage");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "swtpm: no storage\n");
  EXPECT_EQ(content(), "no storage\n");
}

TEST_F(SwtpmLogTest, AStartErrorIsSaidOnceWithoutALog) {
  testing::internal::CaptureStderr();
  SwtpmLog::open(default_log())->start_error("no storage");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "swtpm: no storage\n");
}

TEST_F(SwtpmLogTest, ALogThatIsOffHasNothingButStartErrors) {
  LogOption option;
  option.file = "-";
  option.is_off = true;
  testing::internal::CaptureStderr();
  const auto log = SwtpmLog::open(option);
  log->lines().error("nobody hears this");
  log->start_error("this is heard");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "swtpm: this is heard\n");
  EXPECT_NE(::access("-", F_OK), 0);
}

} // namespace
} // namespace vnvram::test
