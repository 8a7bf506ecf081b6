// call_in_time: what comes back in time, and what is left behind.
#include "device/call_in_time.h"

#include <future>
#include <memory>

#include <gtest/gtest.h>

namespace vnvram {
namespace {

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
  owned.reset();
  std::future<void> is_gone = gone->get_future();
  EXPECT_EQ(is_gone.wait_for(std::chrono::milliseconds(0)), std::future_status::timeout);
  goes_on.set_value();
  is_gone.wait();
}

} // namespace
} // namespace vnvram
