// What is made in a folder is made there, whatever its owner puts in its place meanwhile.
#include "unit/provision/exchanged_folder.h"

#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include <unistd.h>

#include "base/work_folder.h"
#include "provision/new_file.h"
#include "support/expect_status.h"
#include "vnvram/open_device.h"
#include "vnvram/store.h"

namespace vnvram::test {
namespace {

class ExchangedFolderTest : public testing::Test {
protected:
  [[nodiscard]] std::string target() const { return folder_.path() + "/vm.nvram"; }
  static bool is_image(const std::string& path) {
    auto device = open_device(path, Access::read_only);
    return device.ok() && Store::open(*std::move(device), {.access = Access::read_only}).ok();
  }

  ExchangedFolder folder_;
  bool forbidden_ = false;
};

TEST_F(ExchangedFolderTest, AFileTakesItsNameWhereItWasMade) {
  Result<NewFile> file = NewFile::make(target(), forbidden_);
  ASSERT_OK(file);
  ASSERT_EQ(::write(file->fd(), "new", 3), 3);
  folder_.exchange();
  EXPECT_OK(file->take_name(NewFile::Replaces::nothing, forbidden_));
  EXPECT_TRUE(std::filesystem::exists(folder_.moved() + "/vm.nvram"));
  folder_.expect_victim_as_it_was();
}

TEST_F(ExchangedFolderTest, NothingElseIsClearedAway) {
  {
    const Result<NewFile> file = NewFile::make(target(), forbidden_);
    ASSERT_OK(file);
    folder_.exchange_those_in_it();
  }
  folder_.expect_victim_as_it_was();
  {
    const Result<NewFile> file = NewFile::make(target(), forbidden_);
    ASSERT_OK(file);
    folder_.exchange();
  }
  folder_.expect_victim_as_it_was();
}

TEST_F(ExchangedFolderTest, ALinkIsNoFolderThatWasLeftBehind) {
  folder_.plant_link(".vnvram-new-abcdef");
  EXPECT_OK(NewFile::make(target(), forbidden_));
  folder_.expect_victim_as_it_was();
}

// Whoever may write to the folder around it may rename it so.
TEST_F(ExchangedFolderTest, AFolderThatWasMadeElsewhereIsNotLeftBehind) {
  folder_.give_victim_the_name(".vnvram-new-abcdef");
  EXPECT_OK(NewFile::make(target(), forbidden_));
  folder_.expect_victim_as_it_was();
}

TEST_F(ExchangedFolderTest, OnlyTheFileThatWasMadeTakesTheName) {
  std::ofstream(target()) << "old";
  {
    Result<NewFile> empty = NewFile::make(target(), forbidden_);
    ASSERT_OK(empty);
    EXPECT_KIND(empty->take_name(NewFile::Replaces::nothing, forbidden_), stale);
  }
  {
    Result<NewFile> file = NewFile::make(target(), forbidden_);
    ASSERT_OK(file);
    ASSERT_EQ(::write(file->fd(), "new", 3), 3);
    for (const std::string& name : ExchangedFolder::names_in(folder_.path())) {
      const std::filesystem::path made = folder_.path() + "/" + name + "/vm.nvram";
      if (std::filesystem::exists(made)) {
        std::filesystem::rename(made, folder_.path() + "/elsewhere");
        std::ofstream(made) << "other";
      }
    }
    EXPECT_KIND(file->take_name(NewFile::Replaces::nothing, forbidden_), stale);
  }
  std::ifstream kept(target());
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(kept)), {}), "old");
}

TEST_F(ExchangedFolderTest, AnImageIsMadeWhereItWasBegun) {
  CreateOptions options;
  options.blobs.push_back({.spec = {.name = "blob", .type = "raw", .size_max_bytes = 100}});
  bool is_done = false;
  options.progress = [&](std::uint64_t /*done*/, std::uint64_t /*all*/) {
    if (!std::exchange(is_done, true)) {
      folder_.exchange_those_in_it();
      folder_.exchange();
    }
  };
  EXPECT_OK(create_image_file(target(), 0, options));
  EXPECT_TRUE(is_done);
  EXPECT_TRUE(is_image(folder_.moved() + "/vm.nvram"));
  folder_.expect_victim_as_it_was();
}

} // namespace
} // namespace vnvram::test
