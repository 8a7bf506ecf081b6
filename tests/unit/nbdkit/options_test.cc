// What the plugin makes of its words on nbdkit's command line.
#include "nbdkit/options.h"

#include <array>
#include <utility>

#include <gtest/gtest.h>

#include "support/expect_status.h"

namespace vnvram::nbdkit {
namespace {

using std::chrono::microseconds;

TEST(NbdkitOptions, BeginWithTenMillisecondsAndAllBlobs) {
  const Options options;
  EXPECT_EQ(options.sync, microseconds(10000));
  EXPECT_TRUE(options.exports.empty());
  EXPECT_TRUE(options.read_only.empty());
}

TEST(NbdkitOptions, SyncIsATimeWithAUnit) {
  constexpr std::array<std::pair<const char*, std::int64_t>, 9> times = {{{"500us", 500},
                                                                          {"5ms", 5000},
                                                                          {"20", 20000},
                                                                          {"1s", 1000000},
                                                                          {"60s", 60000000},
                                                                          {"60000ms", 60000000},
                                                                          {"0", 0},
                                                                          {"0ms", 0},
                                                                          {"always", 0}}};
  for (const auto& [text, count] : times) {
    Options options;
    ASSERT_OK(options.set("sync", text));
    EXPECT_EQ(options.sync, microseconds(count)) << text;
  }
}

TEST(NbdkitOptions, WhatIsNoTimeIsRefusedAndChangesNothing) {
  for (const char* text : {"", "ms", "-1", "1.5s", "61s", "60001ms", "5minutes", "1 s", "never",
                           "99999999999999999999s"}) {
    Options options;
    EXPECT_KIND(options.set("sync", text), invalid_argument);
    EXPECT_EQ(options.sync, microseconds(10000)) << text;
  }
}

TEST(NbdkitOptions, HowLongAnOwnerIsWaitedForIsATimeAndForAnotherProcessesImage) {
  Options options;
  EXPECT_EQ(options.reconnect, std::chrono::seconds(30));
  ASSERT_OK(options.check_for_own_image());
  for (const char* text : {"", "forever", "86401s", "-1s"}) {
    EXPECT_KIND(options.set("reconnect", text), invalid_argument);
  }
  ASSERT_OK(options.set("reconnect", "86400s"));
  EXPECT_EQ(options.reconnect, std::chrono::hours(24));
  ASSERT_OK(options.set("reconnect", "0"));
  EXPECT_EQ(options.reconnect, microseconds(0));
  ASSERT_OK(options.check_for_owner());
  EXPECT_KIND(options.check_for_own_image(), invalid_argument);
}

TEST(NbdkitOptions, ASessionGivesUpWhatIsSaid) {
  Options options;
  EXPECT_FALSE(options.seccomp);
  EXPECT_KIND(options.set("seccomp", "yes"), invalid_argument);
  ASSERT_OK(options.set("seccomp", "log"));
  EXPECT_EQ(options.seccomp, Seccomp::log);
  ASSERT_OK(options.set("seccomp", "on"));
  EXPECT_EQ(options.seccomp, Seccomp::on);
  ASSERT_OK(options.set("seccomp", "off"));
  EXPECT_FALSE(options.seccomp);
  ASSERT_OK(options.check_for_owner());
  EXPECT_KIND(options.check_for_own_image(), invalid_argument);
}

TEST(NbdkitOptions, BlobsAreNamedOneByOneOrInAList) {
  Options options;
  ASSERT_OK(options.set("export", "b"));
  ASSERT_OK(options.set("export", "a"));
  EXPECT_EQ(options.exports, (std::vector<std::string>{"b", "a"})); // The first is the default.
  ASSERT_OK(options.set("readonly", "a,b"));
  ASSERT_OK(options.set("readonly", "c"));
  EXPECT_EQ(options.read_only.size(), 3U);
  EXPECT_TRUE(options.read_only.contains("b"));
}

TEST(NbdkitOptions, TheImageIsNamedOnceWithItsKeyAndFormat) {
  Options options;
  ASSERT_OK(options.set("image", "vm.qcow2"));
  EXPECT_KIND(options.set("image", "other"), invalid_argument);
  EXPECT_EQ(options.image, "vm.qcow2");
  ASSERT_OK(options.set("image-key", "/key"));
  ASSERT_OK(options.set("image-format", "qcow2"));
  EXPECT_EQ(options.device.image_key_file, "/key");
  EXPECT_EQ(options.device.image_format, "qcow2");
  EXPECT_KIND(options.set("size", "1"), invalid_argument);
}

} // namespace
} // namespace vnvram::nbdkit
