// When the alarm clock calls, and when it does not.
#include "base/alarm_clock.h"

#include <atomic>
#include <latch>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>

#include "support/test_clock.h"

namespace vnvram {
namespace {

constexpr std::chrono::seconds patience{20};
constexpr std::chrono::hours later{1};

/// Counts calls, and lets a test wait for the next one.
class Calls {
public:
  void note() {
    ++count_;
    news_.release();
  }
  void wait_for_one() { ASSERT_TRUE(news_.try_acquire_for(patience)) << "it was not called"; }
  [[nodiscard]] int count() const { return count_; }

private:
  std::atomic<int> count_ = 0;
  std::counting_semaphore<> news_{0};
};

class AlarmClockTest : public testing::Test {
protected:
  test::TestClock clock_;
  Calls calls_;
};

TEST_F(AlarmClockTest, CallsOnceForEachTime) {
  AlarmClock alarm(clock_, [&] { calls_.note(); });
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(alarm.set(clock_.now()));
    calls_.wait_for_one();
    EXPECT_EQ(calls_.count(), i);
  }
  clock_.advance(later);
  alarm.stop();
  EXPECT_EQ(calls_.count(), 3);
}

TEST_F(AlarmClockTest, CallsWhenTheTimeHasComeAndNotBefore) {
  AlarmClock alarm(clock_, [&] { calls_.note(); });
  EXPECT_TRUE(alarm.set(clock_.now() + later));
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + later));
  clock_.advance(later - std::chrono::nanoseconds(1));
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + std::chrono::nanoseconds(1)));
  EXPECT_EQ(calls_.count(), 0);
  clock_.advance(std::chrono::nanoseconds(1));
  calls_.wait_for_one();
}

TEST_F(AlarmClockTest, AnEarlierTimeTakesThePlaceOfALaterOne) {
  AlarmClock alarm(clock_, [&] { calls_.note(); });
  EXPECT_TRUE(alarm.set(clock_.now() + later));
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + later));
  EXPECT_TRUE(alarm.set(clock_.now()));
  calls_.wait_for_one();
  clock_.advance(later);
  alarm.stop();
  EXPECT_EQ(calls_.count(), 1);
}

// While it calls it does not look at times, so what is set meanwhile is seen at once after.
TEST_F(AlarmClockTest, ALaterTimeTakesThePlaceOfOneThatIsDue) {
  AlarmClock alarm(clock_, [&] {
    if (calls_.count() == 0) {
      EXPECT_TRUE(alarm.set(clock_.now()));
      EXPECT_TRUE(alarm.set(clock_.now() + later));
    }
    calls_.note(); // Last: the test sets another time when it hears of it.
  });
  EXPECT_TRUE(alarm.set(clock_.now()));
  calls_.wait_for_one();
  EXPECT_TRUE(alarm.set(clock_.now()));
  calls_.wait_for_one();
  alarm.stop();
  EXPECT_EQ(calls_.count(), 2);
}

TEST_F(AlarmClockTest, WhoSleepsTowardsAnEarlierTimeFindsTheLaterOne) {
  AlarmClock alarm(clock_, [&] { calls_.note(); });
  EXPECT_TRUE(alarm.set(clock_.now() + later));
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + later));
  EXPECT_TRUE(alarm.set(clock_.now() + 2 * later));
  clock_.advance(later);
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + later));
  EXPECT_EQ(calls_.count(), 0);
  clock_.advance(later);
  calls_.wait_for_one();
}

TEST_F(AlarmClockTest, MayBeSetByTheOneThatIsCalled) {
  AlarmClock alarm(clock_, [&] {
    calls_.note();
    if (calls_.count() < 5) {
      EXPECT_TRUE(alarm.set(clock_.now()));
    }
  });
  EXPECT_TRUE(alarm.set(clock_.now()));
  for (int i = 0; i < 5; ++i) {
    calls_.wait_for_one();
  }
  alarm.stop();
  EXPECT_EQ(calls_.count(), 5);
}

TEST_F(AlarmClockTest, StopWaitsForTheCallThatRuns) {
  std::latch begun(1);
  std::latch may_end(1);
  std::atomic<bool> ended = false;
  AlarmClock alarm(clock_, [&] {
    begun.count_down();
    may_end.wait();
    ended = true;
  });
  EXPECT_TRUE(alarm.set(clock_.now()));
  begun.wait();
  std::jthread stopper([&] {
    alarm.stop();
    EXPECT_TRUE(ended);
  });
  may_end.count_down();
}

TEST_F(AlarmClockTest, DoesNotCallAfterStop) {
  {
    AlarmClock alarm(clock_, [&] { calls_.note(); });
    alarm.stop(); // Nothing was set yet.
    EXPECT_TRUE(alarm.set(clock_.now()));
    alarm.stop();
  }
  {
    AlarmClock alarm(clock_, [&] { calls_.note(); });
    EXPECT_TRUE(alarm.set(clock_.now() + later));
  }
  clock_.advance(later);
  EXPECT_EQ(calls_.count(), 0);
}

} // namespace
} // namespace vnvram
