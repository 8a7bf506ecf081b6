#include "soft_tpm/orderly_shutdown.h"

#include <gtest/gtest.h>

#include "support/bytes.h"

namespace vnvram::test {
namespace {

constexpr std::string_view shutdown_clear = "8001 0000000c 00000145 0000";
constexpr std::string_view shutdown_state = "8001 0000000c 00000145 0001";
constexpr std::string_view get_one_random_byte = "8001 0000000c 0000017b 0001";
constexpr std::string_view success = "8001 0000000a 00000000";
constexpr std::string_view failure = "8001 0000000a 00000101";

class OrderlyShutdownTest : public testing::Test {
protected:
  void run(std::string_view command, std::string_view response, std::uint64_t revision) {
    shutdown_.ran(from_hex(command), from_hex(response), revision);
  }
  [[nodiscard]] std::string due(std::uint64_t revision) const {
    std::string text;
    for (const auto& command : shutdown_.due(revision)) {
      text += (text.empty() ? "" : ",") + to_hex(command);
    }
    return text;
  }

  static constexpr const char* clear = "80010000000c000001450000";
  static constexpr const char* state_then_clear =
      "80010000000c000001450001,80010000000c000001450000";
  OrderlyShutdown shutdown_;
};

TEST_F(OrderlyShutdownTest, ClearForAGuestThatSaidNothing) {
  EXPECT_EQ(due(0), clear);
  run(get_one_random_byte, success, 7);
  EXPECT_EQ(due(7), clear);
}

TEST_F(OrderlyShutdownTest, NothingWhileTheGuestsOwnStands) {
  run(shutdown_clear, success, 7);
  EXPECT_EQ(due(7), "");
  run(get_one_random_byte, success, 7);
  EXPECT_EQ(due(7), "");
  EXPECT_EQ(due(8), clear);
}

TEST_F(OrderlyShutdownTest, AGuestThatWillBeResumedStillIs) {
  run(shutdown_state, success, 7);
  EXPECT_EQ(due(7), "");
  EXPECT_EQ(due(8), state_then_clear);
  run(shutdown_clear, success, 9);
  EXPECT_EQ(due(9), "");
  EXPECT_EQ(due(10), clear);
}

TEST_F(OrderlyShutdownTest, OneThatWasRefusedIsNone) {
  run(shutdown_clear, failure, 7);
  EXPECT_EQ(due(7), clear);
  run(shutdown_clear, "8001", 7);
  EXPECT_EQ(due(7), clear);
  run("8001 0000000a 00000145", failure, 7);
  EXPECT_EQ(due(7), clear);
}

TEST_F(OrderlyShutdownTest, TheTypeIsBehindTheSessions) {
  run("8002 00000019 00000145 00000009 40000009 0000 00 0000 0001",
      "8002 00000013 00000000 00000000 0000 00 0000", 7);
  EXPECT_EQ(due(7), "");
  EXPECT_EQ(due(8), state_then_clear);
}

TEST_F(OrderlyShutdownTest, PowerOnForgets) {
  run(shutdown_state, success, 7);
  shutdown_.powered_on();
  EXPECT_EQ(due(7), clear);
}

TEST_F(OrderlyShutdownTest, AnotherOneGoesOnWithWhatItWasTold) {
  EXPECT_FALSE(shutdown_.told(5));
  run(shutdown_state, success, 5);
  for (const std::uint64_t revision : {5U, 6U}) { // It stands, or it does not.
    const auto told = shutdown_.told(revision);
    ASSERT_TRUE(told);
    OrderlyShutdown other;
    other.was_told(*told, 40);
    EXPECT_EQ(other.due(40).size(), shutdown_.due(revision).size());
    EXPECT_EQ(other.due(41).size(), 2U);
  }
}

} // namespace
} // namespace vnvram::test
