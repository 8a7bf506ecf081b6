// A folder in which somebody else may make, move and link what he likes.
#include "swtpm/folder_place.h"

#include <filesystem>
#include <utility>

#include <sys/stat.h>

#include "support/expect_status.h"
#include "unit/convert/swtpm_samples.h"
#include "unit/provision/exchanged_folder.h"
#include "unit/swtpm/place_fixture.h"

namespace vnvram::test {
namespace {

class FolderPlaceTest : public PlaceTest {
protected:
  FolderPlace place(std::optional<mode_t> mode = std::nullopt) { return {path(""), mode, setup()}; }
  static ino_t inode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0);
    return status.st_ino;
  }

  std::string permanent_ = path("tpm2-00.permall");
};

TEST_F(FolderPlaceTest, TheOldStateIsNeverWrittenTo) {
  const Bytes state = swtpm_sample("file_plain.bin");
  put(permanent_, state);
  const ino_t old = inode(permanent_);
  FolderPlace folder = place();
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  EXPECT_EQ(inode(permanent_ + ".swtpm"), old);
  EXPECT_NE(inode(permanent_), old);
  EXPECT_EQ(get(permanent_ + ".swtpm"), state);
  folder.leave();
  ASSERT_OK(folder.enter(ImagePlace::Visit::first)); // Which is an image now.
  EXPECT_EQ(get(permanent_ + ".swtpm"), state);
}

TEST_F(FolderPlaceTest, LinksAreNotFollowed) {
  std::filesystem::create_directory(path("other"));
  const std::string victim = path("other/tpm2-00.permall");
  const Bytes state = swtpm_sample("file_plain.bin");
  put(victim, state);
  std::filesystem::create_symlink(victim, permanent_);
  FolderPlace folder = place(0600);
  EXPECT_KIND(folder.enter(ImagePlace::Visit::first), foreign);
  EXPECT_EQ(get(victim), state);
  // A kept state's name that leads back to the state keeps nothing.
  std::filesystem::remove(permanent_);
  put(permanent_, state);
  std::filesystem::create_symlink(permanent_, permanent_ + ".swtpm");
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  EXPECT_EQ(get(permanent_ + ".swtpm.2"), state);
}

TEST_F(FolderPlaceTest, WhatIsOpenedIsWhatWasFoundThere) {
  FolderPlace folder = place(0600);
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  {
    auto device = folder.open();
    ASSERT_OK(device);
    ASSERT_NE(*device, nullptr);
    EXPECT_OK((*device)->lock_for_writing());
  }
  std::filesystem::create_directory(path("other"));
  const std::string victim = path("other/tpm2-00.permall");
  std::filesystem::copy_file(permanent_, victim);
  std::filesystem::rename(permanent_, path("mine"));
  std::filesystem::create_symlink(victim, permanent_);
  EXPECT_FALSE(folder.open().ok());
  std::filesystem::remove(permanent_);
  std::filesystem::copy_file(victim, permanent_);
  EXPECT_KIND(folder.open(), stale);
}

TEST_F(FolderPlaceTest, AnExchangedFolderLeadsNobodyElsewhere) {
  const ExchangedFolder exchanged;
  const Bytes state = swtpm_sample("file_plain.bin");
  put(exchanged.path() + "/tpm2-00.permall", state);
  PlaceSetup asked = setup();
  asked.check_states = [&](const TpmStates&) { // In the middle.
    exchanged.exchange();
    return Status();
  };
  FolderPlace folder(exchanged.path(), 0600, std::move(asked));
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  EXPECT_EQ(get(exchanged.moved() + "/tpm2-00.permall.swtpm"), state);
  EXPECT_NE(get(exchanged.moved() + "/tpm2-00.permall"), state);
  exchanged.expect_victim_as_it_was();
  EXPECT_FALSE(folder.check().ok());
}

TEST_F(FolderPlaceTest, AnImageThatIsGoneIsNotMadeAnew) {
  FolderPlace folder = place();
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  EXPECT_OK(folder.check());
  std::filesystem::rename(permanent_, path("elsewhere"));
  EXPECT_KIND(folder.check(), absent);
  put(permanent_, Bytes(100));
  EXPECT_KIND(folder.check(), stale);
  folder.leave();
  std::filesystem::remove(permanent_);
  EXPECT_KIND(folder.enter(ImagePlace::Visit::again), absent);
  put(permanent_, swtpm_sample("file_plain.bin")); // Somebody's, but not what was there.
  EXPECT_KIND(folder.enter(ImagePlace::Visit::again), absent);
}

TEST_F(FolderPlaceTest, TheImageHasTheModeThatIsAskedForFromItsFirstMomentOn) {
  FolderPlace folder = place(0604);
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  struct stat status {};
  ASSERT_EQ(::stat(permanent_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0604U);
}

} // namespace
} // namespace vnvram::test
