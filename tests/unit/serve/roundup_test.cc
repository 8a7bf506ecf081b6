#include "serve/roundup.h"

#include <gtest/gtest.h>

namespace vnvram {
namespace {

constexpr std::chrono::milliseconds soon{1};

class RoundupTest : public testing::Test {
protected:
  RoundupTest() {
    for (std::uint64_t session = 1; session <= 3; ++session) {
      roundup_.join(session, [this] { ++rings_; });
    }
  }

  std::uint64_t writer_ = 0;
  unsigned rings_ = 0;
  Roundup roundup_{[this](std::uint64_t session) { return session == writer_; }};
};

TEST_F(RoundupTest, WhoWritesIsWaitedFor) {
  writer_ = 2;
  EXPECT_FALSE(roundup_.run(1, soon));
  EXPECT_EQ(rings_, 3U);
  roundup_.done(2, roundup_.round());
  EXPECT_FALSE(roundup_.run(1, soon)); // Anew.
  roundup_.leave(2);
  EXPECT_TRUE(roundup_.run(1, std::chrono::minutes(1)));
}

// An operator's long `check`, in the middle of a migration.
TEST_F(RoundupTest, WhoOnlyReadsIsNot) {
  EXPECT_TRUE(roundup_.run(1, std::chrono::minutes(1)));
  EXPECT_EQ(rings_, 3U);
}

} // namespace
} // namespace vnvram
