// Encrypted images through the C API.
#include <array>
#include <fstream>
#include <string>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

class CApiKey : public CApi {
protected:
  void SetUp() override {
    std::ofstream(directory_.path("key")) << "the key of this machine";
    std::ofstream(directory_.path("other")) << "the key of another one";
    const vnvram_blob_spec a = spec("a", 100);
    vnvram_create_options options{};
    options.struct_size = sizeof options;
    options.image_size = std::uint64_t{3} << 20U;
    options.blobs = &a;
    options.blob_count = 1;
    const std::array<const char*, 1> keys = {key_.c_str()};
    options.keys = keys.data();
    options.key_count = keys.size();
    ASSERT_EQ(vnvram_create(path_.c_str(), &options, nullptr), VNVRAM_OK);
  }
  vnvram_kind try_open(const char* key, std::size_t struct_size = sizeof(vnvram_open_options)) {
    vnvram_open_options options{};
    options.struct_size = struct_size;
    const std::array<const char*, 1> keys = {key};
    options.keys = key == nullptr ? nullptr : keys.data();
    options.key_count = key == nullptr ? 0 : keys.size();
    return vnvram_open(path_.c_str(), &options, &store_, nullptr);
  }

  std::string key_ = "file:" + directory_.path("key");
  std::string other_ = "file:" + directory_.path("other");
};

TEST_F(CApiKey, OpensWithItsKeyOnly) {
  EXPECT_EQ(try_open(nullptr), VNVRAM_KEY_NEEDED);
  EXPECT_EQ(try_open(other_.c_str()), VNVRAM_WRONG_KEY);
  EXPECT_EQ(try_open("nonsense"), VNVRAM_INVALID_ARGUMENT);
  ASSERT_EQ(try_open(key_.c_str()), VNVRAM_OK);
  write("a", "secret");
  close();
  ASSERT_EQ(try_open(key_.c_str()), VNVRAM_OK);
  EXPECT_EQ(read("a"), "secret");
}

// Who was built with a header that has no keys gives none.
TEST_F(CApiKey, AnEarlierStructureHasNoKey) {
  EXPECT_EQ(try_open(nullptr, offsetof(vnvram_open_options, keys)), VNVRAM_KEY_NEEDED);
}

TEST_F(CApiKey, ChecksAndGrowsWithItsKey) {
  const std::array<const char*, 1> keys = {key_.c_str()};
  vnvram_report* report = nullptr;
  EXPECT_EQ(vnvram_check(path_.c_str(), nullptr, nullptr, &report, nullptr), VNVRAM_KEY_NEEDED);
  ASSERT_EQ(vnvram_check_with_keys(path_.c_str(), keys.data(), keys.size(), nullptr, nullptr,
                                   &report, nullptr),
            VNVRAM_OK);
  EXPECT_EQ(vnvram_report_problem_count(report), 0U);
  vnvram_report_free(report);
  EXPECT_EQ(vnvram_resize(path_.c_str(), std::uint64_t{5} << 20U, nullptr), VNVRAM_KEY_NEEDED);
  ASSERT_EQ(vnvram_resize_with_keys(path_.c_str(), keys.data(), keys.size(),
                                    std::uint64_t{5} << 20U, nullptr),
            VNVRAM_OK);
  EXPECT_EQ(vnvram_resize_with_keys(path_.c_str(), nullptr, 1, 0, nullptr),
            VNVRAM_INVALID_ARGUMENT);
}

} // namespace
} // namespace vnvram::test
