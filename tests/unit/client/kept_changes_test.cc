// What a session keeps for the owner that may come after this one.
#include "rpc/kept_changes.h"

#include <limits>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

class KeptChangesTest : public ::testing::Test {
protected:
  void SetUp() override { kept_.set_limit(4096); }

  static Transaction write(std::string_view text, std::string_view blob = "blob") {
    Transaction transaction;
    transaction.write_range(blob, 0, bytes(text));
    return transaction;
  }
  void make(std::string_view text, std::uint64_t generation, bool deferred = true) {
    const Transaction transaction = write(text);
    KeptChanges::Call call{.transaction = transaction, .deferred = deferred};
    kept_.send(call);
    kept_.take_answer(call, generation);
  }
  /// What would be repeated first.
  [[nodiscard]] std::string answered() {
    std::string said;
    const Transaction transaction = kept_.to_repeat();
    for (const Transaction::Update& update : transaction.updates()) {
      said.append(reinterpret_cast<const char*>(update.bytes.data()), update.bytes.size());
    }
    return said;
  }

  std::optional<std::uint64_t> post(std::string_view text) { return kept_.post(write(text)); }

  /// Two are posted behind "a"; the first one is refused, the second one is in that generation.
  void refuse_first_of_two(ErrorKind why, std::uint64_t generation) {
    make("a", 7);
    const auto refused = post("b");
    const auto taken = post("c");
    ASSERT_TRUE(refused && taken);
    kept_.take_posted_answer(*refused, Error(why, "refused"));
    kept_.take_posted_answer(*taken, generation);
  }

  KeptChanges kept_;
};

TEST_F(KeptChangesTest, WhatWasDeferredIsKeptInOrderUntilTheSecondRecordBehindIt) {
  make("a", 7);
  make("b", 7);
  make("c", 8); // The record of generation 8 may have been under way when "a" came.
  EXPECT_EQ(answered(), "abc");
  make("d", 9);
  EXPECT_EQ(answered(), "cd");
  make("e", 10);
  EXPECT_EQ(answered(), "de");
}

TEST_F(KeptChangesTest, WhatWasDeferredIsDurableWithALaterChangeThatIs) {
  make("a", 7);
  make("b", 8, false);
  EXPECT_EQ(answered(), "");
  make("c", 8);
  EXPECT_EQ(answered(), "c");
}

TEST_F(KeptChangesTest, AFlushIsForWhatWasAnsweredBeforeIt) {
  make("a", 7);
  const std::uint64_t count = kept_.answered_count();
  make("b", 7);
  kept_.are_durable(count);
  EXPECT_EQ(answered(), "b");
}

TEST_F(KeptChangesTest, WhatThereIsNoRoomToKeepIsNotDeferred) {
  const std::string large(3000, 'x');
  make(large, 7);
  const Transaction transaction = write(large);
  KeptChanges::Call call{.transaction = transaction, .deferred = true};
  kept_.send(call);
  EXPECT_FALSE(call.deferred);
  kept_.take_answer(call, 8);
  EXPECT_EQ(answered(), "");
  KeptChanges::Call next{.transaction = transaction, .deferred = true};
  kept_.send(next);
  EXPECT_TRUE(next.deferred);
  kept_.forget(next);
}

TEST_F(KeptChangesTest, SmallOnesAreBoundedAsWell) {
  int deferred_count = 0;
  for (int count = 0; count < 4096; ++count) {
    const Transaction transaction = write("x");
    KeptChanges::Call call{.transaction = transaction, .deferred = true};
    kept_.send(call);
    deferred_count += call.deferred ? 1 : 0;
    if (!call.deferred) {
      kept_.forget(call);
      break;
    }
    kept_.take_answer(call, 7);
  }
  EXPECT_LT(deferred_count, 64);
}

TEST_F(KeptChangesTest, WhatFailedIsNotKept) {
  const Transaction transaction = write("a");
  KeptChanges::Call call{.transaction = transaction, .deferred = true};
  kept_.send(call);
  kept_.take_answer(call, Error(ErrorKind::not_found, "there is no such blob"));
  EXPECT_EQ(answered(), "");
  EXPECT_TRUE(kept_.blobs().empty());
  EXPECT_EQ(kept_.unanswered(), nullptr);
}

TEST_F(KeptChangesTest, AnOlderImageInTheOnesPlaceHasNothingToDoWithWhatWasKept) {
  make("a", 7);
  make("b", 3);
  EXPECT_EQ(answered(), "b");
}

TEST_F(KeptChangesTest, WhatIsRepeatedKeepsItsPlaceAlsoIfAnswersCameInAnotherOrder) {
  const Transaction first = write("1");
  const Transaction second = write("2");
  const Transaction third = write("3");
  KeptChanges::Call one{.transaction = first};
  KeptChanges::Call two{.transaction = second, .deferred = true};
  KeptChanges::Call three{.transaction = third};
  kept_.send(one);
  kept_.send(two);
  kept_.send(three);
  kept_.take_answer(two, 7);
  EXPECT_EQ(answered(), "");
  ASSERT_EQ(kept_.unanswered(), &one);
  kept_.take_answer(one, 8, KeptChanges::Made::durable);
  EXPECT_EQ(kept_.unanswered(), nullptr);
  EXPECT_EQ(answered(), "2");
  kept_.repeated(9);
  ASSERT_EQ(kept_.unanswered(), &three);
  kept_.take_answer(three, 10, KeptChanges::Made::durable);
  EXPECT_EQ(kept_.unanswered(), nullptr);
  EXPECT_EQ(kept_.generation(), 10U);
}

TEST_F(KeptChangesTest, WhatWasSentOnALostConnectionAgainComesBehindTheOthers) {
  const Transaction first = write("1");
  const Transaction second = write("2");
  KeptChanges::Call one{.transaction = first};
  KeptChanges::Call two{.transaction = second};
  kept_.send(one);
  kept_.send(two);
  kept_.send(one);
  EXPECT_EQ(kept_.unanswered(), &two);
  kept_.take_answer(two, 7);
  kept_.take_answer(one, 8);
  kept_.send(one); // It has its answer.
  EXPECT_EQ(kept_.unanswered(), nullptr);
}

TEST_F(KeptChangesTest, ASessionThatEndsWithItsConnectionKeepsNothing) {
  KeptChanges nothing;
  const Transaction transaction = write("a");
  KeptChanges::Call call{.transaction = transaction, .deferred = true};
  nothing.send(call);
  EXPECT_TRUE(call.deferred);
  nothing.take_answer(call, 7);
  EXPECT_TRUE(nothing.to_repeat().empty());
}

TEST_F(KeptChangesTest, WhatIsPostedIsRepeatedInOrderWithWhatWasAnswered) {
  make("a", 7);
  const auto first = post("b");
  const auto second = post("c");
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(kept_.are_answered(kept_.last_posted()));
  kept_.take_posted_answer(*first, 7);
  EXPECT_TRUE(kept_.are_answered(*first));
  EXPECT_FALSE(kept_.are_answered(*second));
  EXPECT_EQ(answered(), "abc");
  kept_.repeated(9);
  EXPECT_TRUE(kept_.are_answered(*second));
  kept_.take_posted_answer(*second, 7); // Late, of the connection that is lost.
  EXPECT_EQ(kept_.generation(), 9U);
  EXPECT_EQ(answered(), "");
}

TEST_F(KeptChangesTest, OnlyWhereItWasWrittenBeforeSomethingIsPosted) {
  EXPECT_FALSE(post("a"));
  make("ab", 7);
  EXPECT_TRUE(post("xy"));
  EXPECT_FALSE(post("xyz"));
  Transaction other = write("x");
  other.write_range("other", 0, bytes("x"));
  EXPECT_FALSE(kept_.post(other));
  Transaction beyond; // Of all that there can be, by arithmetic that wraps.
  beyond.zero_range("blob", std::numeric_limits<std::uint64_t>::max(), 2);
  EXPECT_FALSE(kept_.post(beyond));
  Transaction whole;
  const Bytes content = bytes("x");
  whole.write("blob", content);
  EXPECT_FALSE(kept_.post(whole));
  KeptChanges::Call call{.transaction = whole};
  kept_.send(call);
  kept_.take_answer(call, 8); // It is as long as that now.
  EXPECT_FALSE(post("x"));
  kept_.forget_blobs();
  EXPECT_FALSE(post(""));
}

TEST_F(KeptChangesTest, SoManyArePostedAndNoMoreUntilOneIsAnswered) {
  kept_.set_limit(1U << 20U);
  make("x", 7);
  std::optional<std::uint64_t> first;
  int count = 0;
  for (auto posted = post("x"); posted && count < 1024; posted = post("x")) {
    first = first ? first : posted;
    ++count;
  }
  EXPECT_EQ(count, 64);
  kept_.take_posted_answer(*first, 7);
  EXPECT_TRUE(post("x"));
  EXPECT_FALSE(post("x"));
}

TEST_F(KeptChangesTest, WhatThereIsNoRoomToKeepIsNotPosted) {
  const std::string large(3000, 'x');
  make(large, 7);
  EXPECT_FALSE(post(large));
  EXPECT_TRUE(post("x"));
}

TEST_F(KeptChangesTest, OneThatWasNotSentAfterAllIsNotKept) {
  make("a", 7);
  const auto posted = post("b");
  ASSERT_TRUE(posted);
  kept_.take_back(*posted);
  EXPECT_TRUE(kept_.are_answered(*posted));
  EXPECT_EQ(answered(), "a");
}

TEST_F(KeptChangesTest, APostedOneThatIsRefusedIsKeptAndSaidUntilAnOwnerTakesIt) {
  refuse_first_of_two(ErrorKind::poisoned, 9);
  EXPECT_KIND(kept_.failure(), poisoned);
  EXPECT_FALSE(post("d"));
  make("e", 12); // Behind it nothing is known to be in the image in that order.
  EXPECT_EQ(answered(), "bce");
  kept_.repeated(13);
  ASSERT_OK(kept_.failure());
  EXPECT_TRUE(post("d"));
}

TEST_F(KeptChangesTest, AnOlderImageInTheOnesPlaceGetsNothingThatWasRefusedBefore) {
  refuse_first_of_two(ErrorKind::sealed, 3);
  ASSERT_OK(kept_.failure());
  EXPECT_EQ(answered(), "c");
}

TEST_F(KeptChangesTest, WhatIsPostedOrRefusedIsKnownOfEachBlob) {
  make("a", 7);
  const Transaction other = write("x", "other");
  KeptChanges::Call call{.transaction = other};
  kept_.send(call);
  kept_.take_answer(call, 8);
  const auto first = post("b");
  const auto second = kept_.post(write("y", "other"));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(kept_.last_posted("blob"), *first);
  EXPECT_EQ(kept_.last_posted("other"), *second);
  EXPECT_EQ(kept_.last_posted("nobody"), 0U);
  kept_.take_posted_answer(*first, Error(ErrorKind::sealed, "handed over"));
  EXPECT_KIND(kept_.failure("blob"), sealed);
  ASSERT_OK(kept_.failure("other"));
  EXPECT_EQ(kept_.last_posted("blob"), 0U);
}

TEST_F(KeptChangesTest, WithAnotherContentUnderneathPostedOnesAreOver) {
  make("a", 7);
  const auto posted = post("b");
  ASSERT_TRUE(posted);
  kept_.image_was_changed();
  EXPECT_TRUE(kept_.are_answered(*posted));
  EXPECT_EQ(answered(), "");
}

} // namespace
} // namespace vnvram::test
