// What a store counts, and whom it tells of changes.
#include <chrono>
#include <utility>
#include <vector>

#include "support/test_clock.h"
#include "unit/store/hooked_store_fixture.h"

namespace vnvram {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class CountersTest : public HookedStoreFixture {
protected:
  using Change = std::pair<std::uint64_t, bool>;

  void SetUp() override {
    create({spec("a", 4096), spec("b", 100)});
    OpenOptions options = inline_options();
    options.clock = &clock_;
    options.changed = [this](std::uint64_t generation, bool sealed) {
      changes_.emplace_back(generation, sealed);
    };
    store_ = open_hooked(options);
    ASSERT_NE(store_, nullptr);
    changes_.clear();
  }
  /// Each record takes so long from now on.
  void take(microseconds duration) {
    *hook_ = [this, duration](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
      if (call == HookedDevice::Call::write_durable) {
        clock_.advance(duration);
      }
      return Status();
    };
  }

  test::TestClock clock_;
  std::vector<Change> changes_;
  std::unique_ptr<Store> store_;
};

TEST_F(CountersTest, CommitsAreCountedByTheTimeThatTheyTake) {
  ASSERT_OK(store_->write("a", bytes("at once")));
  take(microseconds(100)); // A bound is the longest of its class.
  ASSERT_OK(store_->write("a", bytes("soon")));
  take(microseconds(101));
  ASSERT_OK(store_->write("a", bytes("later")));
  take(std::chrono::hours(1));
  ASSERT_OK(store_->write("a", bytes("too late")));
  const StoreCounters counters = store_->counters();
  EXPECT_EQ(counters.commits_by_duration[0], 1U);
  EXPECT_EQ(counters.commits_by_duration[1], 1U);
  EXPECT_EQ(counters.commits_by_duration[2], 1U);
  EXPECT_EQ(counters.commits_by_duration.back(), 1U);
  EXPECT_EQ(counters.commits(), 4U);
  EXPECT_EQ(counters.commit_duration_sum, microseconds(201) + std::chrono::hours(1));
}

TEST_F(CountersTest, WhatIsNoCommitOfACallersIsNotCountedAsOne) {
  ASSERT_OK(store_->write_range_deferred("a", 0, bytes("deferred")));
  ASSERT_OK(store_->flush());
  ASSERT_OK(store_->register_blobs(std::vector{spec("c", 16)}));
  EXPECT_KIND(store_->write("nobody", bytes("x")), not_found);
  const StoreCounters counters = store_->counters();
  EXPECT_EQ(counters.commits(), 0U);
  EXPECT_EQ(counters.failed_commits, 1U);
  EXPECT_EQ(counters.deferred_writes, 1U);
  EXPECT_EQ(counters.records, 2U);
}

TEST_F(CountersTest, AnAsynchronousCommitIsOneAsWell) {
  bool done = false;
  Transaction transaction;
  transaction.write("a", bytes("x"));
  store_->commit_async(std::move(transaction), [&](const Status& status) { done = status.ok(); });
  EXPECT_TRUE(done);
  EXPECT_EQ(store_->counters().commits(), 1U);
}

TEST_F(CountersTest, TheDevicesWorkIsCounted) {
  const StoreCounters before = store_->counters();
  ASSERT_OK(store_->write("a", bytes("x")));
  StoreCounters counters = store_->counters();
  EXPECT_EQ(counters.device_durable_writes, before.device_durable_writes + 1);
  EXPECT_EQ(counters.device_writes, before.device_writes + 1);
  EXPECT_EQ(counters.device_written_bytes, before.device_written_bytes + block_size_bytes);
  EXPECT_EQ(counters.records_size_bytes, before.records_size_bytes + block_size_bytes);
  EXPECT_EQ(counters.device_flushes, before.device_flushes);
  ASSERT_OK(store_->checkpoint());
  counters = store_->counters();
  EXPECT_EQ(counters.device_flushes, before.device_flushes + 1);
  EXPECT_GT(counters.device_writes, before.device_writes + 2);
}

TEST_F(CountersTest, TheLastCheckpointHasAnAge) {
  ASSERT_OK(store_->write("a", bytes("x")));
  const std::uint64_t before = store_->counters().checkpoints;
  ASSERT_OK(store_->checkpoint());
  clock_.advance(milliseconds(1500));
  const StoreCounters counters = store_->counters();
  EXPECT_EQ(counters.checkpoints, before + 1);
  EXPECT_EQ(counters.last_checkpoint_age, milliseconds(1500));
}

TEST_F(CountersTest, EachChangeIsToldBeforeItIsAnswered) {
  const std::uint64_t generation = store_->info().generation;
  ASSERT_OK(store_->write("a", bytes("one")));
  EXPECT_EQ(changes_, (std::vector<Change>{{generation + 1, false}}));
  ASSERT_OK(store_->write("a", bytes("one"))); // Changes nothing.
  ASSERT_OK(store_->write_range_deferred("b", 0, bytes("x")));
  EXPECT_EQ(changes_.size(), 1U);
  ASSERT_OK(store_->seal());
  ASSERT_OK(store_->unseal());
  EXPECT_EQ(changes_, (std::vector<Change>{{generation + 1, false},
                                           {generation + 2, false},
                                           {generation + 2, true},
                                           {generation + 2, false}}));
}

} // namespace
} // namespace vnvram
