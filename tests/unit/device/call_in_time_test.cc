// call_in_time: what comes back in time, and what is left behind.
#include "device/call_in_time.h"

#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "device/left_behind.h"
#include "device/repeated_call.h"

namespace vnvram {
namespace {

/// Returns when nothing is left behind any more.
void come_back() {
  while (count_left_behind() != 0) {
    std::this_thread::yield();
  }
}

TEST(CallInTime, ReturnsWhatTheCallReturns) {
  const auto owned = std::make_shared<int>(7);
  EXPECT_EQ(call_in_time(std::chrono::minutes(1), [owned] { return *owned; }), 7);
  EXPECT_EQ(owned.use_count(), 1); // All that the call had has gone before.
}

TEST(CallInTime, LeavesBehindWhatDoesNotReturnWithAllThatItOwns) {
  std::promise<void> goes_on;
  const auto gone = std::make_shared<std::promise<void>>();
  // Says when the last who has it lets it go.
  std::shared_ptr<void> owned(nullptr, [gone](const void*) { gone->set_value(); });
  const auto result =
      call_in_time(std::chrono::milliseconds(50), [owned, may = goes_on.get_future().share()] {
        may.wait();
        return 7;
      });
  EXPECT_EQ(result, std::nullopt);
  EXPECT_EQ(count_left_behind(), 1U);
  owned.reset();
  std::future<void> is_gone = gone->get_future();
  EXPECT_EQ(is_gone.wait_for(std::chrono::milliseconds(0)), std::future_status::timeout);
  goes_on.set_value();
  is_gone.wait();
  come_back();
}

TEST(CallInTime, AnAnswerThatComesTooLateIsDestroyed) {
  std::promise<void> goes_on;
  std::promise<void> gone;
  const auto result =
      call_in_time(std::chrono::milliseconds(50), [&gone, may = goes_on.get_future().share()] {
        may.wait();
        return std::shared_ptr<void>(nullptr, [&gone](const void*) { gone.set_value(); });
      });
  EXPECT_FALSE(result.has_value());
  goes_on.set_value();
  gone.get_future().wait();
  come_back();
}

TEST(RepeatedCall, IsMadeOnOneThreadAsOftenAsItIsAskedFor) {
  std::set<std::thread::id> threads;
  int calls = 0;
  RepeatedCall<int> call([&] {
    threads.insert(std::this_thread::get_id());
    return ++calls;
  });
  for (int round = 1; round <= 100; ++round) {
    EXPECT_EQ(call(std::chrono::minutes(1)), round);
  }
  EXPECT_EQ(threads.size(), 1U);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(RepeatedCall, OfManyAtOnceEachHasItsOwnAnswer) {
  std::atomic<int> calls = 0;
  std::atomic<int> sum = 0;
  RepeatedCall<int> call([&] { return ++calls; });
  std::vector<std::thread> askers;
  for (int asker = 0; asker < 8; ++asker) {
    askers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        sum += call(std::chrono::minutes(1)).value();
      }
    });
  }
  for (std::thread& asker : askers) {
    asker.join();
  }
  EXPECT_EQ(sum, 400 * 401 / 2);
}

TEST(RepeatedCall, IsNotMadeAnyMoreOnceItWasLeftBehind) {
  std::promise<void> goes_on;
  const auto calls = std::make_shared<std::atomic<int>>(0);
  {
    RepeatedCall<int> call([calls, may = goes_on.get_future().share()] {
      ++*calls;
      may.wait();
      return 7;
    });
    EXPECT_EQ(call(std::chrono::milliseconds(50)), std::nullopt);
    EXPECT_EQ(count_left_behind(), 1U);
    EXPECT_EQ(call(std::chrono::minutes(1)), std::nullopt);
  }
  goes_on.set_value();
  come_back();
  EXPECT_EQ(*calls, 1);
}

} // namespace
} // namespace vnvram
