// When the alarm clock calls, and when it does not.
#include "store/alarm_clock.h"

#include <atomic>
#include <latch>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>

namespace vnvram {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds patience{20};
constexpr std::chrono::hours never{1}; // As far as a test is concerned.

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

TEST(AlarmClock, CallsOnceForEachTime) {
  Calls calls;
  AlarmClock clock([&] { calls.note(); });
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(clock.set(steady_clock::now()));
    calls.wait_for_one();
    EXPECT_EQ(calls.count(), i);
  }
  clock.stop();
  EXPECT_EQ(calls.count(), 3);
}

TEST(AlarmClock, AnEarlierTimeTakesThePlaceOfALaterOne) {
  Calls calls;
  AlarmClock clock([&] { calls.note(); });
  EXPECT_TRUE(clock.set(steady_clock::now() + never));
  EXPECT_TRUE(clock.set(steady_clock::now()));
  calls.wait_for_one();
  clock.stop();
  EXPECT_EQ(calls.count(), 1);
}

// While the clock calls it does not look at times, so what is set meanwhile is seen at once after.
TEST(AlarmClock, ALaterTimeTakesThePlaceOfOneThatIsDue) {
  Calls calls;
  AlarmClock clock([&] {
    if (calls.count() == 0) {
      EXPECT_TRUE(clock.set(steady_clock::now()));
      EXPECT_TRUE(clock.set(steady_clock::now() + never));
    }
    calls.note(); // Last: the test sets another time when it hears of it.
  });
  EXPECT_TRUE(clock.set(steady_clock::now()));
  calls.wait_for_one();
  EXPECT_TRUE(clock.set(steady_clock::now()));
  calls.wait_for_one();
  clock.stop();
  EXPECT_EQ(calls.count(), 2);
}

// Sets a time after `delay`, puts a later one in its place, and waits until the first has passed: a
// second clock says when. False: the first had come before it was replaced, which proves nothing.
bool replaced_in_time(std::chrono::milliseconds delay, Calls& calls) {
  AlarmClock clock([&] { calls.note(); });
  const auto early = steady_clock::now() + delay;
  EXPECT_TRUE(clock.set(early));
  EXPECT_TRUE(clock.set(steady_clock::now() + never));
  if (steady_clock::now() >= early) {
    return false;
  }
  Calls later;
  AlarmClock witness([&] { later.note(); });
  EXPECT_TRUE(witness.set(early + delay));
  later.wait_for_one();
  return true;
}

// On a busy machine this thread may not get to replace the time before it comes: then with more.
TEST(AlarmClock, WhoSleepsTowardsAnEarlierTimeFindsTheLaterOne) {
  std::chrono::milliseconds delay{10};
  while (true) {
    ASSERT_LT(delay, patience);
    Calls calls;
    if (replaced_in_time(delay, calls)) {
      EXPECT_EQ(calls.count(), 0);
      return;
    }
    delay *= 2;
  }
}

TEST(AlarmClock, MayBeSetByTheOneThatIsCalled) {
  Calls calls;
  AlarmClock clock([&] {
    calls.note();
    if (calls.count() < 5) {
      EXPECT_TRUE(clock.set(steady_clock::now()));
    }
  });
  EXPECT_TRUE(clock.set(steady_clock::now()));
  for (int i = 0; i < 5; ++i) {
    calls.wait_for_one();
  }
  clock.stop();
  EXPECT_EQ(calls.count(), 5);
}

TEST(AlarmClock, StopWaitsForTheCallThatRuns) {
  std::latch begun(1);
  std::latch may_end(1);
  std::atomic<bool> ended = false;
  AlarmClock clock([&] {
    begun.count_down();
    may_end.wait();
    ended = true;
  });
  EXPECT_TRUE(clock.set(steady_clock::now()));
  begun.wait();
  std::jthread stopper([&] {
    clock.stop();
    EXPECT_TRUE(ended);
  });
  may_end.count_down();
}

TEST(AlarmClock, DoesNotCallAfterStop) {
  Calls calls;
  {
    AlarmClock clock([&] { calls.note(); });
    clock.stop(); // Nothing was set yet.
    EXPECT_TRUE(clock.set(steady_clock::now()));
    clock.stop();
  }
  {
    AlarmClock clock([&] { calls.note(); });
    EXPECT_TRUE(clock.set(steady_clock::now() + never));
  }
  EXPECT_EQ(calls.count(), 0);
}

} // namespace
} // namespace vnvram
