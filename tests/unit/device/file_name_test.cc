// Files that lose their names while they are open, and names that must not be doubted.
#include "device/file_name.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <mutex>
#include <vector>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "device/file_device.h"
#include "device/hidden_writes.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "support/test_clock.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t named_size_bytes = std::uint64_t{4} << 20U;

class FileNameTest : public testing::Test {
protected:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_.path(name); }
  std::string make_file(const std::string& name) {
    return directory_.make_file(name, block_size_bytes);
  }
  static UniqueFd open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(fd.valid()) << path;
    return fd;
  }
  /// Of a store on that file, with a blob "a".
  static std::unique_ptr<Store> open_store(const std::string& path, OpenOptions options = {}) {
    auto device = open_device(path, Access::read_write);
    EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().text());
    auto store = Store::open(*std::move(device), std::move(options));
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().text());
    return *std::move(store);
  }
  static void create(const std::string& path) {
    ASSERT_OK(create_image_file(path, named_size_bytes, {.blobs = {{.spec = spec("a", 100)}}}));
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_.make_file("image", block_size_bytes);
};

TEST_F(FileNameTest, ARemovedFileIsNoticed) {
  const UniqueFd fd = open(path_);
  const FileName name(fd.get(), path_);
  EXPECT_TRUE(name.known());
  ASSERT_OK(name.check(fd.get()));
  ASSERT_OK(name.check_not_moved());
  fs::remove(path_);
  const Status gone = name.check(fd.get());
  EXPECT_KIND(gone, stale);
  EXPECT_NE(gone.error().text().find("was removed"), std::string::npos) << gone.error().text();
  // The way out: what it holds is still there.
  EXPECT_NE(gone.error().text().find("/proc/" + std::to_string(::getpid()) + "/fd/" +
                                     std::to_string(fd.get())),
            std::string::npos)
      << gone.error().text();
}

TEST_F(FileNameTest, AnotherFileUnderItsNameIsNoticed) {
  const UniqueFd fd = open(path_);
  const FileName name(fd.get(), path_);
  fs::create_hard_link(path_, path("link")); // It does not lose its last name.
  fs::rename(make_file("other"), path_);
  const Status replaced = name.check(fd.get());
  EXPECT_KIND(replaced, stale);
  EXPECT_NE(replaced.error().text().find("another file was put in its place"), std::string::npos);
  // And without.
  const UniqueFd second = open(path_);
  const FileName second_name(second.get(), path_);
  fs::rename(make_file("other"), path_);
  EXPECT_KIND(second_name.check(second.get()), stale);
}

TEST_F(FileNameTest, AFileThatWasMovedIsStillThere) {
  const UniqueFd fd = open(path_);
  const FileName name(fd.get(), path_);
  fs::rename(path_, path("elsewhere"));
  ASSERT_OK(name.check(fd.get()));
  EXPECT_KIND(name.check_not_moved(), absent);
  fs::rename(path("elsewhere"), path_);
  ASSERT_OK(name.check_not_moved());
  fs::rename(path_, path("elsewhere"));
  make_file("image");
  EXPECT_KIND(name.check(fd.get()), stale);
}

TEST_F(FileNameTest, SymbolicLinksAndFoldersCount) {
  fs::create_directory(path("folder"));
  fs::rename(path_, path("folder/image"));
  fs::create_symlink(path("folder/image"), path("symlink"));
  const UniqueFd fd = open(path("symlink"));
  const FileName by_link(fd.get(), path("symlink"));
  const FileName by_folder(fd.get(), path("folder/../folder/image"));
  ASSERT_OK(by_link.check(fd.get()));
  ASSERT_OK(by_folder.check(fd.get()));
  fs::remove(path("symlink"));
  EXPECT_KIND(by_link.check_not_moved(), absent);
  fs::create_symlink(make_file("other"), path("symlink"));
  EXPECT_KIND(by_link.check(fd.get()), stale);
  ASSERT_OK(by_folder.check(fd.get()));
  fs::rename(path("folder"), path("away"));
  ASSERT_OK(by_folder.check(fd.get()));
  EXPECT_KIND(by_folder.check_not_moved(), absent);
  fs::create_directory(path("folder"));
  make_file("folder/image");
  EXPECT_KIND(by_folder.check(fd.get()), stale);
}

TEST_F(FileNameTest, ARelativeNameIsMeantFromWhereItWasSaid) {
  const fs::path before = fs::current_path();
  fs::create_directory(path("folder"));
  fs::current_path(path(""));
  const UniqueFd fd = open("image");
  const FileName name(fd.get(), "image");
  fs::current_path(path("folder"));
  make_file("folder/image");
  ASSERT_OK(name.check(fd.get()));
  ASSERT_OK(name.check_not_moved());
  fs::current_path(before);
  fs::remove(path_);
  EXPECT_KIND(name.check(fd.get()), stale);
}

TEST_F(FileNameTest, ADescriptorsNameSaysNothing) {
  UniqueFd passed = open(path_);
  const std::string number = std::to_string(passed.get());
  fs::create_symlink("/dev/fd/" + number, path("link"));
  for (const std::string& given : {"/dev/fd/" + number, "/proc/self/fd/" + number, path("link")}) {
    const UniqueFd fd = open(given);
    const FileName name(fd.get(), given);
    // Now the number is another file's, and then it is none's.
    const UniqueFd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::dup3(other.get(), passed.get(), O_CLOEXEC), passed.get());
    ASSERT_OK(name.check(fd.get()));
    passed = UniqueFd(-1);
    ASSERT_OK(name.check(fd.get()));
    ASSERT_OK(name.check_not_moved());
    ASSERT_EQ(::dup3(fd.get(), std::stoi(number), O_CLOEXEC), std::stoi(number));
    passed = UniqueFd(std::stoi(number));
  }
  // A file that never had a name has none to lose.
  fs::remove(path_);
  const std::string given = "/proc/self/fd/" + std::to_string(passed.get());
  const UniqueFd fd = open(given);
  const FileName name(fd.get(), given);
  EXPECT_FALSE(name.known());
  ASSERT_OK(name.check(fd.get()));
}

TEST_F(FileNameTest, ACommitThatNoLaterOpenerFindsIsRefused) {
  for (const bool replaced : {false, true}) {
    create(path("store"));
    OpenOptions options;
    options.background = false;
    const auto store = open_store(path("store"), std::move(options));
    ASSERT_OK(store->write("a", bytes("kept")));
    const UniqueFd kept_open = open(path("store"));
    if (replaced) {
      create(path("new"));
      fs::rename(path("new"), path("store"));
    } else {
      fs::remove(path("store"));
    }
    std::vector<std::byte> before(named_size_bytes);
    ASSERT_EQ(::pread(kept_open.get(), before.data(), before.size(), 0),
              static_cast<ssize_t>(before.size()));
    EXPECT_KIND(store->write("a", bytes("refused")), stale);
    EXPECT_KIND(store->write("a", bytes("refused")), poisoned);
    ASSERT_TRUE(store->info().poisoned.has_value());
    EXPECT_EQ(*store->read("a"), bytes("kept"));
    EXPECT_FALSE(store->close().ok());
    std::vector<std::byte> after(named_size_bytes);
    ASSERT_EQ(::pread(kept_open.get(), after.data(), after.size(), 0),
              static_cast<ssize_t>(after.size()));
    EXPECT_EQ(after, before);
  }
}

TEST_F(FileNameTest, AnOwnerWithNothingToDoNoticesBySelf) {
  create(path("store"));
  std::mutex mutex;
  std::vector<Error> said;
  test::TestClock clock;
  OpenOptions options;
  options.clock = &clock;
  options.failed_in_background = [&](const Error& error) {
    const std::lock_guard lock(mutex);
    said.push_back(error);
  };
  const auto store = open_store(path("store"), std::move(options));
  const auto wait_for = [&](std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      clock.advance(std::chrono::seconds(1));
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      const std::lock_guard lock(mutex);
      if (said.size() >= count) {
        return;
      }
    }
  };
  fs::rename(path("store"), path("moved"));
  wait_for(1);
  EXPECT_EQ(said[0].kind(), ErrorKind::absent) << said[0].text();
  ASSERT_OK(store->write("a", bytes("goes on")));
  fs::remove(path("moved"));
  wait_for(2);
  EXPECT_EQ(said[1].kind(), ErrorKind::stale) << said[1].text();
  EXPECT_TRUE(store->info().poisoned.has_value());
  EXPECT_KIND(store->write("a", bytes("refused")), poisoned);
}

TEST(HiddenWrites, WhereLocksAreOfOneHost) {
  for (const std::uint64_t magic : {0x65735546UL, 0x01021997UL, 0x7461636fUL, 0x19830326UL}) {
    EXPECT_TRUE(has_locks_of_one_host(magic)) << std::hex << magic;
  }
  for (const std::uint64_t magic : {0x6969UL, 0x00c36400UL, 0x01161970UL, 0x0bd00bd0UL, 0xef53UL}) {
    EXPECT_FALSE(has_locks_of_one_host(magic)) << std::hex << magic; // GFS2, Lustre
  }
}

TEST(HiddenWrites, ByTheFileSystem) {
  for (const std::uint64_t magic :
       {0x6969UL, 0xff534d42UL, 0xfe534d42UL, 0x65735546UL, 0x01021997UL, 0x00c36400UL,
        0x01161970UL, 0x7461636fUL, 0x0bd00bd0UL}) {
    EXPECT_TRUE(is_shared_file_system(magic)) << std::hex << magic;
  }
  for (const std::uint64_t magic :
       {0xef53UL, 0x58465342UL, 0x9123683eUL, 0x01021994UL, 0x2fc12fc1UL, 0x794c7630UL,
        0UL}) { // ext4, XFS, btrfs, tmpfs, ZFS, overlay
    EXPECT_FALSE(is_shared_file_system(magic)) << std::hex << magic;
  }
}

} // namespace
} // namespace vnvram
