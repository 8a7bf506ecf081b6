// An anchor's point as text, and hostile texts.
#include <gtest/gtest.h>

#include <string>

#include "support/expect_status.h"
#include "unit/anchor/anchor_points.h"

namespace vnvram::test {
namespace {

constexpr const char* example_text =
    R"({"vnvram_anchor":1,"uuid":"01020304-0506-0708-090a-0b0c0d0e0f10","epoch_number":5,)"
    R"("epoch_random":"e5e5e5e5e5e5e5e5","generation":100,"chain":"c0c0c0c0c0c0c0c0",)"
    R"("sealed":false,"next_epoch_random":"0000000000000000","each_commit":false,)"
    R"("key_id":"4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b",)"
    R"("next_key_id":"00000000000000000000000000000000"})";

std::string replaced(std::string from, const std::string& to) {
  std::string text = example_text;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(AnchorText, IsOneLineOfJson) {
  EXPECT_EQ(anchor_text(example_point()), example_text);
}

TEST(AnchorText, ComesBackAsItWas) {
  AnchorPoint point = example_point();
  point.sealed = true;
  point.each_commit = true;
  point.next_epoch_random = 0x8000000000000001;
  point.key_id = {};
  point.next_key_id.fill(std::byte{0xfe});
  for (const AnchorPoint& each : {example_point(), point}) {
    const auto parsed = parse_anchor(anchor_text(each));
    ASSERT_OK(parsed);
    EXPECT_EQ(*parsed, each);
  }
}

TEST(AnchorText, RefusesWhatIsNone) {
  for (const std::string& text : {std::string(),
                                  std::string("none"),
                                  std::string("{}"),
                                  std::string("[]"),
                                  std::string("1"),
                                  std::string("\xff\xfe"),
                                  std::string(1500, '['),
                                  std::string(example_text) + "x",
                                  std::string(example_text) + std::string(3000, ' '),
                                  replaced("5,", "-5,"),
                                  replaced("5,", "5.0,"),
                                  replaced("5,", "\"5\","),
                                  replaced("5,", "4611686018427387905,"),
                                  replaced("100,", "99999999999999999999,"),
                                  replaced("e5e5", "e5e"),
                                  replaced("e5e5", "e5g5"),
                                  replaced("01020304-", "01020304"),
                                  replaced("false", "0"),
                                  replaced("4b4b", "4b"),
                                  replaced("\"next_key_id\"", "\"key_id\""),
                                  replaced("\"chain\"", "\"chaim\""),
                                  replaced("{", "{\"more\":1,"),
                                  replaced("\"vnvram_anchor\":1,", "")}) {
    SCOPED_TRACE(text);
    EXPECT_KIND(parse_anchor(text), corrupt);
  }
}

TEST(AnchorText, SaysThatALaterVersionIsOne) {
  EXPECT_KIND(parse_anchor(replaced("anchor\":1", "anchor\":2")), too_new);
}

} // namespace
} // namespace vnvram::test
