// Front ends that an operator has exchanged.
#include <future>

#include "service/renewal_words.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

class RenewalTest : public ServedImage {
protected:
  void begin(std::function<Status()> asked) {
    renew_front_ends_ = std::move(asked);
    serve({spec("a", 4096)});
  }
};

TEST_F(RenewalTest, WhereNobodyWouldDoItItIsUnsupported) {
  begin({});
  EXPECT_KIND(operators()->renew_front_ends(), unsupported);
}

TEST_F(RenewalTest, WhoAsksIsToldWhatBecameOfItAndNobodyElseWaits) {
  std::promise<void> asked;
  bool was_asked = false;
  begin([&] {
    if (!std::exchange(was_asked, true)) {
      asked.set_value();
    } else {
      server_->front_ends_renewed({});
    }
    return Status();
  });
  const auto first = operators();
  auto outcome = std::async(std::launch::async, [&] { return first->renew_front_ends(); });
  asked.get_future().wait();
  const auto second = operators();
  EXPECT_KIND(second->renew_front_ends(), in_use);
  ASSERT_OK(second->status());
  server_->front_ends_renewed(Error(ErrorKind::io, "one of them has not come up"));
  const Status failed = outcome.get();
  EXPECT_KIND(failed, io);
  EXPECT_EQ(failed.error().cause(), "one of them has not come up");
  ASSERT_OK(first->renew_front_ends()); // Its outcome is there before it can wait for it.
}

TEST_F(RenewalTest, WhoAsksAndGoesIsNotWaitedFor) {
  std::promise<void> asked;
  begin([&asked] {
    asked.set_value();
    return Status();
  });
  {
    auto asks = link();
    std::jthread leaves([&asks, &asked] {
      asked.get_future().wait();
      asks->shut_down();
    });
    const auto lost = asks->try_to_ask<Status>([](rpc::Owner::Client& owner) {
      return owner.renewFrontEndsRequest().send().then(
          [](auto&&) { return Result<Status>(Status()); });
    });
    EXPECT_FALSE(lost);
  }
  server_->front_ends_renewed({});
  ASSERT_OK(operators()->status());
}

TEST_F(RenewalTest, WhatCannotBeAskedIsOverAtOnce) {
  begin([] { return Error(ErrorKind::io, "nobody listens"); });
  EXPECT_KIND(operators()->renew_front_ends(), io);
  EXPECT_KIND(operators()->renew_front_ends(), io); // And not that one is under way.
}

TEST(RenewalWordsTest, TheOutcomeComesAcross) {
  ASSERT_OK(renewal_outcome(renewal_answer({})));
  const Status failed = renewal_outcome(renewal_answer(Error(ErrorKind::io, "why")));
  EXPECT_KIND(failed, io);
  EXPECT_EQ(failed.error().cause(), "why");
  EXPECT_KIND(renewal_outcome("something else"), io);
}

} // namespace
} // namespace vnvram::test
