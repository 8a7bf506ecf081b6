// The verdict on an image beside its anchor: the whole table.
#include "anchor/anchor_judge.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/anchor/anchor_points.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t next_random = 0xaeaeaeaeaeaeaeae;
constexpr std::uint64_t other_random = 0x0707070707070707;

struct Case {
  std::string what;
  AnchorPoint anchored;
  AnchorPoint image;
  AnchorVerdict verdict;
};

template <typename Change> AnchorPoint with(AnchorPoint point, Change change) {
  change(point);
  return point;
}

AnchorPoint of_each_commit() {
  return with(example_point(), [](AnchorPoint& point) { point.each_commit = true; });
}

AnchorPoint sealed_point() {
  return with(example_point(), [](AnchorPoint& point) { point.sealed = true; });
}

AnchorPoint announcing() {
  return with(example_point(), [](AnchorPoint& point) { point.next_epoch_random = next_random; });
}

std::array<std::byte, 16> key_id(unsigned number) {
  std::array<std::byte, 16> id{};
  id.fill(static_cast<std::byte>(number));
  return id;
}

AnchorPoint of_key(AnchorPoint point, unsigned number) {
  point.key_id = key_id(number);
  return point;
}

AnchorPoint exchanging(unsigned next) {
  AnchorPoint point = example_point();
  point.next_key_id = key_id(next);
  return point;
}

AnchorPoint image_at(std::uint64_t epoch, std::uint64_t random, std::uint64_t generation,
                     std::uint64_t chain = 0xc0c0c0c0c0c0c0c0) {
  return with(example_point(), [&](AnchorPoint& point) {
    point.epoch_number = epoch;
    point.epoch_random = random;
    point.generation = generation;
    point.chain = chain;
  });
}

std::vector<Case> known_epoch_cases() {
  const std::uint64_t random = example_point().epoch_random;
  return {
      {"the same", example_point(), example_point(), AnchorVerdict::at_anchor},
      {"later commits", example_point(), image_at(5, random, 500, 1), AnchorVerdict::at_anchor},
      {"one commit less", example_point(), image_at(5, random, 99, 1), AnchorVerdict::rolled_back},
      {"none", example_point(), image_at(5, random, 0, 1), AnchorVerdict::rolled_back},
      {"another content", example_point(), image_at(5, random, 100, 1), AnchorVerdict::forked},
      {"each commit", of_each_commit(), example_point(), AnchorVerdict::at_anchor},
      {"one ahead", of_each_commit(), image_at(5, random, 101, 1), AnchorVerdict::at_anchor},
      {"two ahead", of_each_commit(), image_at(5, random, 102, 1), AnchorVerdict::ahead},
      {"one behind", of_each_commit(), image_at(5, random, 99, 1), AnchorVerdict::rolled_back},
      {"sealed", sealed_point(), sealed_point(), AnchorVerdict::at_anchor},
      {"sealed later", example_point(), sealed_point(), AnchorVerdict::at_anchor},
      {"before its seal", sealed_point(), example_point(), AnchorVerdict::rolled_back},
      {"commits behind a seal", sealed_point(), image_at(5, random, 101, 1), AnchorVerdict::forked},
  };
}

std::vector<Case> data_key_cases() {
  const std::uint64_t random = example_point().epoch_random;
  return {
      {"an older data key", example_point(), of_key(example_point(), 1),
       AnchorVerdict::rolled_back},
      {"and later commits with it", example_point(), of_key(image_at(5, random, 500, 1), 1),
       AnchorVerdict::rolled_back},
      {"none at all", example_point(), of_key(example_point(), 0), AnchorVerdict::rolled_back},
      {"none at all in an exchange", exchanging(2), of_key(example_point(), 0),
       AnchorVerdict::rolled_back},
      {"before an exchange that has begun", exchanging(2), example_point(),
       AnchorVerdict::at_anchor},
      {"after it", exchanging(2), of_key(example_point(), 2), AnchorVerdict::at_anchor},
      {"another one", exchanging(2), of_key(example_point(), 3), AnchorVerdict::rolled_back},
  };
}

std::vector<Case> other_epoch_cases() {
  const std::uint64_t random = example_point().epoch_random;
  return {
      {"the announced epoch did not come", announcing(), example_point(), AnchorVerdict::at_anchor},
      {"it came", announcing(), image_at(6, next_random, 100, next_random),
       AnchorVerdict::at_anchor},
      {"it came with another chain", announcing(), image_at(6, next_random, 100, 1),
       AnchorVerdict::forked},
      {"it came and went on", announcing(), image_at(6, next_random, 101, 1),
       AnchorVerdict::at_anchor},
      {"it came, older", announcing(), image_at(6, next_random, 99, 1), AnchorVerdict::rolled_back},
      {"by another number", announcing(), image_at(7, next_random, 100, next_random),
       AnchorVerdict::forked},
      {"none was announced", example_point(), image_at(6, 0, 100, 0), AnchorVerdict::forked},
      {"an older copy", example_point(), image_at(4, other_random, 90), AnchorVerdict::rolled_back},
      {"an older copy of the same generation", example_point(), image_at(4, other_random, 100),
       AnchorVerdict::rolled_back},
      {"an older copy that went on further", example_point(), image_at(4, other_random, 101),
       AnchorVerdict::forked},
      {"an older copy that went on as often", example_point(), image_at(5, other_random, 100),
       AnchorVerdict::forked},
      {"and has fewer commits", example_point(), image_at(5, other_random, 50),
       AnchorVerdict::forked},
      {"opened without the anchor", example_point(), image_at(6, other_random, 100),
       AnchorVerdict::forked},
      {"a copy that went on", example_point(), image_at(6, other_random, 120),
       AnchorVerdict::forked},
      {"a copy that was opened often", example_point(), image_at(9, other_random, 20),
       AnchorVerdict::forked},
      {"the epoch's random bytes with another number", example_point(), image_at(6, random, 100),
       AnchorVerdict::forked},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> cases = known_epoch_cases();
  for (const std::vector<Case>& more : {data_key_cases(), other_epoch_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

TEST(AnchorJudge, KnowsEachOfThem) {
  for (const Case& each : all_cases()) {
    EXPECT_EQ(verdict_name(judge(each.image, each.anchored)), verdict_name(each.verdict))
        << each.what;
    const AnchorPoint other = with(each.image, [](AnchorPoint& point) { point.uuid = {}; });
    EXPECT_EQ(judge(other, each.anchored), AnchorVerdict::another_image) << each.what;
    EXPECT_EQ(judge(each.image, std::nullopt), AnchorVerdict::missing) << each.what;
  }
}

TEST(AnchorJudge, NamesBothGenerationsAndTheRemedy) {
  for (const Case& each : all_cases()) {
    const AnchorComparison found = compare("an image", each.image, "an anchor", each.anchored);
    ASSERT_EQ(found.reason.has_value(), each.verdict != AnchorVerdict::at_anchor) << each.what;
    if (!found.reason) {
      continue;
    }
    const Error error = not_at_anchor(found);
    EXPECT_EQ(error.kind(), ErrorKind::not_at_anchor);
    EXPECT_NE(error.cause().find("generation " + std::to_string(each.image.generation)),
              std::string::npos)
        << error.text();
    EXPECT_NE(error.cause().find("generation " + std::to_string(each.anchored.generation)),
              std::string::npos)
        << error.text();
    EXPECT_NE(error.remedy().find("`anchor accept`"), std::string::npos);
  }
}

TEST(AnchorJudge, HasAWordForEachVerdict) {
  EXPECT_EQ(verdict_name(AnchorVerdict::at_anchor), "at-anchor");
  EXPECT_EQ(verdict_name(AnchorVerdict::missing), "missing");
  EXPECT_EQ(verdict_name(AnchorVerdict::another_image), "another-image");
  EXPECT_EQ(verdict_name(AnchorVerdict::rolled_back), "rolled-back");
  EXPECT_EQ(verdict_name(AnchorVerdict::forked), "forked");
  EXPECT_EQ(verdict_name(AnchorVerdict::ahead), "ahead");
}

} // namespace
} // namespace vnvram::test
