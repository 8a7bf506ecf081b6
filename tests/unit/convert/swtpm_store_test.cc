#include "convert/swtpm_store.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "convert/swtpm_folder.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/convert/swtpm_samples.h"

namespace vnvram::test {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

unsigned mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777U;
}

class SwtpmStoreTest : public testing::Test {
protected:
  static void put(const std::string& path, const Bytes& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  std::string folder(const std::string& name) {
    const std::string path = place(name);
    fs::create_directory(path);
    return path;
  }
  std::string place(const std::string& name) { return directory_.path(name); }
  static Result<SwtpmStore> read(const std::string& path, const SwtpmKey* key = nullptr) {
    return read_swtpm_store(path, key, std::nullopt);
  }
  static SwtpmStore sample_store() {
    return {.version = TpmVersion::tpm2_0,
            .states = {Bytes(1234, std::byte{7}), Bytes(77, std::byte{8}), {}},
            .was_encrypted = false};
  }
  /// Nothing but these.
  static std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryDirectory directory_;
};

TEST_F(SwtpmStoreTest, ReadsAFolder) {
  const std::string path = folder("d");
  EXPECT_KIND(read(path), absent);
  put(path + "/tpm2-00.volatilestate", swtpm_sample("file_plain.bin"));
  EXPECT_KIND(read(path), absent);
  put(path + "/tpm2-00.permall", swtpm_sample("file_plain.bin"));
  const auto store = read(path);
  ASSERT_OK(store);
  EXPECT_EQ(store->version, TpmVersion::tpm2_0);
  EXPECT_FALSE(store->was_encrypted);
  EXPECT_EQ(store->states.at(0), store->states.at(1));
  EXPECT_FALSE(store->states.at(0).empty());
  EXPECT_TRUE(store->states.at(2).empty());
  EXPECT_EQ(names_in(path), (std::vector<std::string>{"tpm2-00.permall", "tpm2-00.volatilestate"}));
}

TEST_F(SwtpmStoreTest, OfTwoVersionsOneHasToBeNamed) {
  const std::string path = folder("d");
  put(path + "/tpm-00.permall", swtpm_sample("file_plain.bin"));
  EXPECT_EQ(read(path)->version, TpmVersion::tpm1_2);
  EXPECT_KIND(read_swtpm_store(path, nullptr, TpmVersion::tpm2_0), absent);
  put(path + "/tpm2-00.permall", swtpm_sample("file_plain.bin"));
  EXPECT_KIND(read(path), invalid_argument);
  EXPECT_EQ(read_swtpm_store(path, nullptr, TpmVersion::tpm1_2)->version, TpmVersion::tpm1_2);
  EXPECT_EQ(read_swtpm_store(path, nullptr, TpmVersion::tpm2_0)->version, TpmVersion::tpm2_0);
}

TEST_F(SwtpmStoreTest, OneDamagedStateIsNoStore) {
  const std::string path = folder("d");
  put(path + "/tpm2-00.permall", swtpm_sample("file_plain.bin"));
  put(path + "/tpm2-00.savestate", {});
  const auto store = read(path);
  EXPECT_KIND(store, corrupt);
  EXPECT_NE(store.error().text().find("save-state"), std::string::npos);
  put(path + "/tpm2-00.savestate", swtpm_sample("file_key_128.bin")); // Two kinds do not mix.
  EXPECT_KIND(read(path), key_needed);
  const SwtpmKey key = key_of_128_bits();
  EXPECT_KIND(read(path, &key), wrong_key);
}

TEST_F(SwtpmStoreTest, ARunningSwtpmIsLeftAlone) {
  const std::string path = folder("d");
  put(path + "/tpm2-00.permall", swtpm_sample("file_plain.bin"));
  const std::string linear = place("l");
  put(linear, swtpm_sample("linear.bin"));
  put(path + "/.lock", {});
  ASSERT_OK(read(path));
  for (const std::string& locked : {path + "/.lock", linear}) {
    const UniqueFd file(::open(locked.c_str(), O_RDWR | O_CLOEXEC));
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    ASSERT_EQ(::fcntl(file.get(), F_OFD_SETLK, &lock), 0);
    EXPECT_KIND(read(locked == linear ? linear : path), in_use);
    EXPECT_FALSE(write_swtpm_store(path, SwtpmBackEnd::folder, sample_store(), nullptr).ok());
  }
  ASSERT_OK(read(path));
  ASSERT_OK(read(linear));
}

TEST_F(SwtpmStoreTest, WritesAFolderAndAFile) {
  const SwtpmKey key = key_of_256_bits();
  for (const SwtpmBackEnd back_end : {SwtpmBackEnd::folder, SwtpmBackEnd::linear}) {
    for (const SwtpmKey* used : {static_cast<const SwtpmKey*>(nullptr), &key}) {
      const std::string path = place("out");
      ASSERT_OK(write_swtpm_store(path, back_end, sample_store(), used));
      const auto store = read_swtpm_store(path, used, TpmVersion::tpm2_0);
      ASSERT_OK(store);
      EXPECT_EQ(store->states, sample_store().states);
      EXPECT_EQ(store->was_encrypted, used != nullptr);
      EXPECT_EQ(mode_of(path), back_end == SwtpmBackEnd::folder ? 0700U : 0600U);
      EXPECT_EQ(names_in(place("")), std::vector<std::string>{"out"});
      EXPECT_KIND(write_swtpm_store(path, back_end, sample_store(), used), exists);
      fs::remove_all(path);
    }
  }
}

TEST_F(SwtpmStoreTest, WritesIntoAFolderThatHasNoState) {
  const std::string path = folder("d");
  put(path + "/.lock", {});
  put(path + "/other", {});
  ASSERT_OK(write_swtpm_store(path, SwtpmBackEnd::folder, sample_store(), nullptr));
  EXPECT_EQ(names_in(path), (std::vector<std::string>{".lock", "other", "tpm2-00.permall",
                                                      "tpm2-00.volatilestate"}));
  EXPECT_EQ(mode_of(path + "/tpm2-00.permall"), 0600U);
}

TEST_F(SwtpmStoreTest, WritesOverNothing) {
  for (const char* name :
       {"tpm2-00.permall", "tpm2-00.volatilestate", "tpm2-00.savestate", "tpm-00.permall"}) {
    const std::string path = folder(std::string("d-") + name);
    put(path + "/" + name, Bytes(3, std::byte{1}));
    EXPECT_KIND(write_swtpm_store(path, SwtpmBackEnd::folder, sample_store(), nullptr), exists);
    EXPECT_EQ(names_in(path), std::vector<std::string>{name});
  }
  const std::string file = place("file");
  put(file, Bytes(3, std::byte{1}));
  EXPECT_KIND(write_swtpm_store(file, SwtpmBackEnd::folder, sample_store(), nullptr), exists);
  EXPECT_KIND(write_swtpm_store(file, SwtpmBackEnd::linear, sample_store(), nullptr), exists);
  EXPECT_KIND(write_swtpm_store(folder("empty"), SwtpmBackEnd::linear, sample_store(), nullptr),
              exists);
  EXPECT_EQ(fs::file_size(file), 3);
  fs::create_symlink("nowhere", place("link"));
  EXPECT_KIND(write_swtpm_store(place("link"), SwtpmBackEnd::linear, sample_store(), nullptr),
              exists);
}

TEST_F(SwtpmStoreTest, WhatIsNeitherIsRefused) {
  EXPECT_KIND(read(place("absent")), absent);
  const std::string path = place("f");
  put(path, swtpm_sample("file_plain.bin"));
  const auto store = read(path);
  EXPECT_KIND(store, foreign);
  EXPECT_NE(store.error().text().find("folder"), std::string::npos);
  put(path, swtpm_sample("linear.bin"));
  ASSERT_OK(read(path));
  EXPECT_EQ(read(path)->version, TpmVersion::tpm2_0);
  Bytes none = swtpm_sample("linear.bin");
  std::fill(none.begin() + 12, none.begin() + 24, std::byte{0});
  put(path, none);
  EXPECT_KIND(read(path), absent);
}

} // namespace
} // namespace vnvram::test
