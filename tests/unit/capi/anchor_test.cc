// Anchors through the C API.
#include <cstddef>
#include <fstream>
#include <string>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

class CApiAnchor : public CApi {
protected:
  vnvram_kind try_open(const char* anchor, const char* policy = nullptr,
                       std::size_t struct_size = sizeof(vnvram_open_options), uint32_t flags = 0) {
    vnvram_open_options options{};
    options.struct_size = struct_size;
    options.flags = flags;
    options.anchor = anchor;
    options.anchor_policy = policy;
    return vnvram_open(path_.c_str(), &options, &store_, nullptr);
  }
  vnvram_kind accept() {
    return vnvram_accept_anchor(path_.c_str(), nullptr, nullptr, 0, anchor_.c_str(), nullptr);
  }
  void put(const char* policy, const char* bytes) {
    ASSERT_EQ(try_open(anchor_.c_str(), policy), VNVRAM_OK);
    write("a", bytes);
    close();
  }

  std::string anchor_ = "file:" + directory_.path("anchor");
};

TEST_F(CApiAnchor, RefusesAnOlderCopyUntilItIsAccepted) {
  create({spec("a", 100)});
  EXPECT_EQ(try_open(anchor_.c_str()), VNVRAM_NOT_AT_ANCHOR);
  ASSERT_EQ(accept(), VNVRAM_OK);
  put(nullptr, "one");
  const std::string copy = directory_.path("copy");
  std::filesystem::copy_file(path_, copy);
  for (const char* policy : {"commit", "every=5", "open"}) {
    put(policy, policy);
  }
  std::filesystem::copy_file(copy, path_, std::filesystem::copy_options::overwrite_existing);
  ErrorSlot error;
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  options.anchor = anchor_.c_str();
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store_, error.out()), VNVRAM_NOT_AT_ANCHOR);
  EXPECT_NE(error.text().find("generation"), std::string::npos);
  EXPECT_STREQ(vnvram_kind_name(VNVRAM_NOT_AT_ANCHOR), "not-at-anchor");
  ASSERT_EQ(accept(), VNVRAM_OK);
  ASSERT_EQ(vnvram_open(path_.c_str(), &options, &store_, nullptr), VNVRAM_OK);
  EXPECT_EQ(read("a"), "one");
}

TEST_F(CApiAnchor, ChecksWhatItIsGiven) {
  create({spec("a", 100)});
  const auto kind_of = [&](const char* anchor, const char* policy) {
    vnvram_open_options options{};
    options.struct_size = sizeof options;
    options.anchor = anchor;
    options.anchor_policy = policy;
    return vnvram_open(path_.c_str(), &options, &store_, nullptr);
  };
  EXPECT_EQ(kind_of("elsewhere", nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(kind_of(nullptr, "commit"), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(kind_of(anchor_.c_str(), "often"), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_accept_anchor(path_.c_str(), nullptr, nullptr, 0, nullptr, nullptr),
            VNVRAM_INVALID_ARGUMENT);
}

TEST_F(CApiAnchor, IsNothingToAReaderAndToAnOlderProgram) {
  create({spec("a", 100)});
  ASSERT_EQ(try_open(anchor_.c_str(), nullptr, sizeof(vnvram_open_options), VNVRAM_OPEN_READ_ONLY),
            VNVRAM_OK);
  close();
  // Its structure ends before the member.
  ASSERT_EQ(try_open(anchor_.c_str(), nullptr, offsetof(vnvram_open_options, anchor)), VNVRAM_OK);
}

} // namespace
} // namespace vnvram::test
