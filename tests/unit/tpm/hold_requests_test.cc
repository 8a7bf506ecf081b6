// How long a TPM is waited for before it is held.
#include "tpm/hold_requests.h"

#include <gtest/gtest.h>

#include "support/test_clock.h"

namespace vnvram {
namespace {

constexpr std::chrono::nanoseconds moment{1};

class HoldRequestsTest : public testing::Test {
protected:
  void add() {
    holds_.add([this] { ++fulfilled_; });
  }
  int fulfilled(bool is_quiet) {
    for (const auto& tell : holds_.take_fulfilled(is_quiet)) {
      tell();
    }
    return fulfilled_;
  }

  test::TestClock clock_;
  HoldRequests holds_{clock_};
  int fulfilled_ = 0;
};

TEST_F(HoldRequestsTest, AQuietTpmIsHeldAtOnce) {
  EXPECT_EQ(fulfilled(true), 0); // Nobody has asked.
  add();
  EXPECT_FALSE(holds_.empty());
  EXPECT_EQ(fulfilled(false), 0);
  EXPECT_EQ(fulfilled(true), 1);
  EXPECT_TRUE(holds_.empty());
}

TEST_F(HoldRequestsTest, ABusyOneIsHeldAfterASecondAndNotBefore) {
  clock_.advance(std::chrono::hours(1)); // While nobody asks, no time counts.
  for (int round = 1; round <= 2; ++round) {
    add();
    clock_.advance(HoldRequests::wait_max - moment);
    EXPECT_EQ(fulfilled(false), round - 1);
    clock_.advance(moment);
    EXPECT_EQ(fulfilled(false), round);
    EXPECT_TRUE(holds_.empty());
  }
}

TEST_F(HoldRequestsTest, TheFirstOnesSecondIsTheirs) {
  add();
  clock_.advance(HoldRequests::wait_max - moment);
  add();
  clock_.advance(moment);
  EXPECT_EQ(fulfilled(false), 2);
}

} // namespace
} // namespace vnvram
