// Anchors and policies as users write them.
#include <gtest/gtest.h>

#include <chrono>

#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/anchor/anchor_points.h"

namespace vnvram::test {
namespace {

TEST(AnchorOptions, ReadsEachPolicy) {
  EXPECT_EQ(parse_anchor_policy("open").value().moment, AnchorPolicy::Moment::open);
  EXPECT_EQ(parse_anchor_policy("commit").value().moment, AnchorPolicy::Moment::commit);
  EXPECT_EQ(parse_anchor_policy("every=1").value().moment, AnchorPolicy::Moment::every);
  EXPECT_EQ(parse_anchor_policy("every=86400").value().period, std::chrono::hours(24));
}

TEST(AnchorOptions, RefusesOtherPolicies) {
  for (const char* text : {"", "Open", "every", "every=", "every=0", "every=86401", "every=-1",
                           "every=1s", "every= 1", "every=99999999999", "commit "}) {
    EXPECT_KIND(parse_anchor_policy(text), invalid_argument);
  }
}

TEST(AnchorOptions, RefusesOtherAnchors) {
  for (const char* text : {"", "file:", "exec:", "/a/path", "File:x", "tpm:"}) {
    EXPECT_KIND(open_anchor(text), invalid_argument);
  }
}

TEST(AnchorOptions, OpensAFileAndACommand) {
  const TemporaryDirectory directory;
  const auto file = open_anchor("file:" + directory.path("anchor"));
  ASSERT_OK(file);
  ASSERT_OK((*file)->write(example_point()));
  EXPECT_EQ((*file)->read().value(), example_point());
  const auto command = open_anchor("exec:while read line; do echo none; done");
  ASSERT_OK(command);
  EXPECT_EQ((*command)->read().value(), std::nullopt);
}

} // namespace
} // namespace vnvram::test
