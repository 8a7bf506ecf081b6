// What a session keeps for the owner that may come after this one.
#include "rpc/kept_changes.h"

#include <string>

#include <gtest/gtest.h>

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
  [[nodiscard]] std::string answered() const {
    std::string said;
    const Transaction transaction = kept_.answered();
    for (const Transaction::Update& update : transaction.updates()) {
      said.append(reinterpret_cast<const char*>(update.bytes.data()), update.bytes.size());
    }
    return said;
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
  EXPECT_TRUE(nothing.answered().empty());
}

} // namespace
} // namespace vnvram::test
