// Sessions that ask faster than they may.
#include <chrono>

#include "serve/throttle.h"
#include "unit/serve/raw_session.h"
#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ThrottleTest, ASecondsWorthMayComeAtOnceAndNoMore) {
  Throttle throttle({.sent_max_bytes = 1000, .calls_max = 0});
  const Throttle::Clock::time_point start{};
  throttle.count(1000, 5000, start);
  EXPECT_FALSE(throttle.closed_until(start));
  throttle.count(500, 0, start);
  const auto until = throttle.closed_until(start);
  ASSERT_TRUE(until);
  EXPECT_GE(*until, start + milliseconds(500));
  EXPECT_LE(*until, start + milliseconds(501));
  EXPECT_TRUE(throttle.closed_until(*until - milliseconds(2)));
  EXPECT_FALSE(throttle.closed_until(*until));
}

TEST(ThrottleTest, WhatIsNotUsedIsNotSaved) {
  Throttle throttle({.sent_max_bytes = 0, .calls_max = 10});
  const Throttle::Clock::time_point start{};
  throttle.count(1, 1, start);
  EXPECT_FALSE(throttle.closed_until(start + std::chrono::hours(1)));
  throttle.count(1000000, 11, start + std::chrono::hours(1));
  EXPECT_TRUE(throttle.closed_until(start + std::chrono::hours(1)));
}

TEST(ThrottleTest, TheSlowerOfTwoRatesCounts) {
  Throttle throttle({.sent_max_bytes = 100, .calls_max = 1});
  const Throttle::Clock::time_point start{};
  throttle.count(200, 11, start);
  EXPECT_GE(*throttle.closed_until(start), start + seconds(10));
}

TEST(ThrottleTest, WithoutRatesItIsOpen) {
  Throttle throttle(SessionRates{});
  throttle.count(1U << 30U, 1U << 30U, {});
  EXPECT_FALSE(throttle.closed_until({}));
}

class RatesTest : public ServedImage {
protected:
  /// Many more bytes than it may send in a minute.
  static constexpr std::size_t flood_count = 100;
  static void flood(RawSession& session) {
    static const Bytes content(60000, std::byte{1});
    for (std::size_t number = 0; number < flood_count; ++number) {
      session.ask([](rpc::Owner::Client& owner) {
        auto request = owner.changeRequest();
        auto update = request.initUpdates(1)[0];
        update.setBlob("b");
        update.setWrite(to_data(content));
        return request.send();
      });
    }
  }
};

TEST_F(RatesTest, WhoIsTooFastIsHeldUpAndNobodyElse) {
  rates_ = {.sent_max_bytes = 65536, .calls_max = 0};
  serve({spec("a", 4096), spec("b", 65536)});
  const auto other = client();
  RawSession greedy(socket());
  flood(greedy);
  EXPECT_FALSE(greedy.go_on(seconds(3), [&] { return greedy.answer_count() == flood_count; }));
  for (int round = 0; round < 50; ++round) {
    ASSERT_OK(put(*other, "a", std::to_string(round)));
  }
  greedy.go_on(milliseconds(1), [] { return false; });
  EXPECT_LT(greedy.answer_count(), flood_count);
}

TEST_F(RatesTest, WhatItHasAskedForIsDoneAllTheSame) {
  rates_ = {.sent_max_bytes = 0, .calls_max = 50};
  serve({spec("a", 4096)});
  RawSession session(socket());
  constexpr std::size_t count = 120;
  for (std::size_t number = 0; number < count; ++number) {
    session.ask([](rpc::Owner::Client& owner) { return change(owner, "a"); });
  }
  EXPECT_TRUE(session.go_on(seconds(60), [&] { return session.answer_count() == count; }));
}

TEST_F(RatesTest, WhoHasHungUpIsNotHeldUpAnyMore) {
  rates_ = {.sent_max_bytes = 0, .calls_max = 1};
  serve({spec("a", 4096)});
  {
    RawSession greedy(socket());
    for (int minutes = 0; minutes < 10; ++minutes) {
      for (int number = 0; number < 60; ++number) {
        greedy.ask([](rpc::Owner::Client& owner) { return change(owner, "a"); });
      }
    }
    ASSERT_TRUE(greedy.go_on(seconds(60), [&] { return greedy.answer_count() >= 1; }));
  }
  const auto until = std::chrono::steady_clock::now() + seconds(60);
  while (server_->metrics().find("vnvram_blob_writer_session{blob=\"a\"}") != std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::yield();
  }
}

} // namespace
} // namespace vnvram::test
