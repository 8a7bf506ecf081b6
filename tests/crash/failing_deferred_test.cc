// Devices that answer with errors while writes are deferred: what is read afterwards, now or after
// reopening, is a prefix of the writes, and never without one that was answered as durable.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/fail_each.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t blob_size_bytes = 9000;

/// One store, one workload, one failure at the count-th operation of a kind.
class FailingDeferredRun {
public:
  FailingDeferredRun(OperationKind kind, std::uint64_t count, bool encrypted) {
    CreateOptions create;
    create.ring_size_bytes = std::uint64_t{64} << 10U;
    for (const char* name : {"a", "b"}) {
      create.blobs.push_back(
          {.spec = {.name = name, .type = "test", .size_max_bytes = blob_size_bytes},
           .content = {}});
      newest_.register_blob(create.blobs.back().spec);
    }
    if (encrypted) {
      create.data_key = data_key();
    }
    SimulatedDevice device(disk_);
    EXPECT_TRUE(create_image(device, create).ok());
    device.unlock();
    possible_ = {newest_};
    disk_->fail(kind, count);
    work();
  }

  /// False: the workload ended before the failure came.
  [[nodiscard]] bool failure_came() const { return disk_->failed(); }

  void expect_sound() {
    store_.reset();
    std::vector<std::byte> durable = disk_->durable();
    expect_prefix(std::make_shared<SimulatedDisk>(std::move(durable)), "after a power cut");
    expect_prefix(disk_, "after reopening");
  }

private:
  void work() {
    auto store = Store::open(std::make_unique<SimulatedDevice>(disk_), deterministic_options());
    if (!store) {
      EXPECT_TRUE(disk_->failed()) << store.error().text();
      return;
    }
    store_ = std::move(*store);
    for (int i = 0; i < 40; ++i) {
      defer(i % 2 == 0 ? "a" : "b", i);
      if (i % 9 == 4) {
        commit();
      } else if (i % 5 == 3) {
        flush();
      } else if (i % 11 == 10) {
        const Status status = store_->checkpoint(); // Its failure shows in what follows.
        static_cast<void>(status);
      }
    }
    expect_readers_see_all_that_was_taken();
    const bool poisoned = store_->info().poisoned.has_value();
    if (store_->close()) {
      EXPECT_FALSE(poisoned) << "a poisoned store has been closed in good order";
      possible_ = {newest_};
    }
  }

  void defer(const std::string& blob, int i) {
    Transaction transaction;
    const std::uint64_t offset = i % 7 == 6 ? 0 : random_.below(blob_size_bytes);
    const std::uint64_t length =
        i % 7 == 6 ? blob_size_bytes
                   : 1 + random_.below(std::min<std::uint64_t>(blob_size_bytes - offset, 500));
    const std::vector<std::byte> bytes = random_.bytes(length);
    const bool poisoned = store_->info().poisoned.has_value();
    Status status;
    if (i % 4 == 3) {
      transaction.zero_range(blob, offset, length);
      status = store_->zero_range_deferred(blob, offset, length);
    } else {
      transaction.write_range(blob, offset, bytes);
      status = store_->write_range_deferred(blob, offset, bytes);
    }
    if (check_answer(status, poisoned)) {
      newest_.apply(transaction);
      possible_.push_back(newest_);
    }
  }

  void flush() {
    const bool poisoned = store_->info().poisoned.has_value();
    if (check_answer(store_->flush(), poisoned)) {
      possible_ = {newest_};
    }
  }

  void commit() {
    Transaction transaction;
    transaction.write_range("a", random_.below(5000), random_.bytes(500));
    transaction.write_range("b", random_.below(5000), random_.bytes(500));
    StoreState next = newest_;
    next.apply(transaction);
    const bool poisoned = store_->info().poisoned.has_value();
    if (check_answer(store_->commit(transaction), poisoned)) {
      newest_ = next;
      possible_ = {next};
    } else if (!poisoned && store_->info().poisoned) {
      possible_.push_back(
          next); // It may be there after reopening. Unpoisoned, nothing was written.
    }
  }

  bool check_answer(const Status& status, bool poisoned) {
    if (status) {
      EXPECT_FALSE(poisoned) << "a poisoned store takes writes";
      return true;
    }
    EXPECT_EQ(status.error().kind(), poisoned ? ErrorKind::poisoned : ErrorKind::io)
        << status.error().text();
    return false;
  }

  void expect_readers_see_all_that_was_taken() {
    const bool came_before = disk_->failed();
    Result<StoreState> found = StoreState::capture(*store_);
    if (!found && !came_before) {
      found = StoreState::capture(*store_);
    }
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_TRUE(*found == newest_) << found->difference(newest_);
  }

  void expect_prefix(const std::shared_ptr<SimulatedDisk>& disk, const char* when) {
    const auto store =
        Store::open(std::make_unique<SimulatedDevice>(disk), deterministic_options());
    ASSERT_TRUE(store.ok()) << when << ": " << store.error().text();
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_TRUE(found.ok()) << when << ": " << found.error().text();
    EXPECT_NE(std::find(possible_.begin(), possible_.end(), *found), possible_.end())
        << when << " of " << possible_.size() << " none: " << found->difference(possible_.front())
        << "; " << found->difference(possible_.back());
    EXPECT_TRUE((*store)->close().ok());
  }

  std::shared_ptr<SimulatedDisk> disk_ =
      std::make_shared<SimulatedDisk>(std::vector<std::byte>(std::size_t{384} << 10U));
  std::unique_ptr<Store> store_;
  Random random_{5};
  StoreState newest_;                ///< What readers see.
  std::vector<StoreState> possible_; ///< From what is durable on, one for each write.
};

/// Of plain images and of encrypted ones.
class FailingDeferredTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Images, FailingDeferredTest, testing::Bool(),
                         [](const auto& image) { return image.param ? "encrypted" : "plain"; });

TEST_P(FailingDeferredTest, Invariant8HoldsForEveryFailedWrite) {
  EXPECT_GT(fail_each<FailingDeferredRun>(OperationKind::write, GetParam()), 10U);
}
TEST_P(FailingDeferredTest, Invariant8HoldsForEveryFailedDurableWrite) {
  EXPECT_GT(fail_each<FailingDeferredRun>(OperationKind::write_durable, GetParam()), 15U);
}
TEST_P(FailingDeferredTest, Invariant8HoldsForEveryFailedFlush) {
  EXPECT_GT(fail_each<FailingDeferredRun>(OperationKind::flush, GetParam()), 3U);
}
TEST_P(FailingDeferredTest, Invariant8HoldsForEveryFailedRead) {
  EXPECT_GT(fail_each<FailingDeferredRun>(OperationKind::read, GetParam()), 15U);
}

} // namespace
} // namespace vnvram::test
