// Devices that answer with errors: the store is poisoned, acknowledged commits stay, and what is
// read afterwards, now or after reopening, is one generation.
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/fail_each.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

/// One store, one workload, one failure at the count-th operation of a kind.
class FailingRun {
public:
  FailingRun(OperationKind kind, std::uint64_t count, bool encrypted) {
    CreateOptions create;
    create.ring_size_bytes = std::uint64_t{64} << 10U;
    for (const char* name : {"a", "b"}) {
      create.blobs.push_back(
          {.spec = {.name = name, .type = "test", .size_max_bytes = 9000}, .content = {}});
      acknowledged_.register_blob(create.blobs.back().spec);
    }
    if (encrypted) {
      create.data_key = data_key();
    }
    SimulatedDevice device(disk_);
    EXPECT_TRUE(create_image(device, create).ok());
    device.unlock();
    newest_ = acknowledged_;
    disk_->fail(kind, count);
    work();
  }

  /// False: the workload ended before the failure came.
  [[nodiscard]] bool failure_came() const { return disk_->failed(); }

  void expect_sound() {
    store_.reset();
    // The process has died, or the machine has.
    std::vector<std::byte> durable = disk_->durable();
    expect_one_generation(std::make_shared<SimulatedDisk>(std::move(durable)), "after a power cut");
    expect_one_generation(disk_, "after reopening");
  }

private:
  void work() {
    auto store = Store::open(std::make_unique<SimulatedDevice>(disk_), deterministic_options());
    if (!store) {
      EXPECT_TRUE(disk_->failed()) << store.error().text();
      EXPECT_EQ(store.error().kind(), ErrorKind::io) << store.error().text();
      return;
    }
    store_ = std::move(*store);
    Random random(3);
    bool refused = false;
    for (int i = 0; i < 30; ++i) {
      Transaction transaction;
      transaction.write_range("a", random.below(5000), random.bytes(500));
      transaction.write_range("b", random.below(5000), random.bytes(500));
      refused = commit(transaction) || refused;
      if (i % 10 == 9) {
        const Status status = store_->checkpoint();
        refused = refused || !status;
      }
    }
    if (refused) {
      expect_refusal();
    }
  }

  /// True if it was refused.
  bool commit(const Transaction& transaction) {
    StoreState next = newest_;
    next.apply(transaction);
    const bool poisoned = store_->info().poisoned.has_value();
    const Status status = store_->commit(transaction);
    if (status) {
      EXPECT_FALSE(poisoned) << "a poisoned store has committed";
      acknowledged_ = newest_ = next;
      return false;
    }
    if (poisoned) {
      EXPECT_EQ(status.error().kind(), ErrorKind::poisoned) << status.error().text();
    } else {
      EXPECT_EQ(status.error().kind(), ErrorKind::io) << status.error().text();
      if (store_->info().poisoned) {
        newest_ = next; // It may be there after reopening. Unpoisoned, nothing was written.
      }
    }
    return true;
  }

  /// Reading goes on, and says what is durable.
  void expect_refusal() {
    const Result<StoreState> found = StoreState::capture(*store_);
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_TRUE(*found == acknowledged_) << found->difference(acknowledged_);
    if (store_->info().poisoned) {
      EXPECT_NE(store_->info().poisoned->cause().find("injected failure"), std::string::npos);
    }
  }

  void expect_one_generation(const std::shared_ptr<SimulatedDisk>& disk, const char* when) {
    const auto store =
        Store::open(std::make_unique<SimulatedDevice>(disk), deterministic_options());
    ASSERT_TRUE(store.ok()) << when << ": " << store.error().text();
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_TRUE(found.ok()) << when << ": " << found.error().text();
    EXPECT_TRUE(*found == acknowledged_ || *found == newest_)
        << when << ": " << found->difference(acknowledged_);
    EXPECT_TRUE((*store)->close().ok());
  }

  std::shared_ptr<SimulatedDisk> disk_ =
      std::make_shared<SimulatedDisk>(std::vector<std::byte>(std::size_t{384} << 10U));
  std::unique_ptr<Store> store_;
  StoreState acknowledged_;
  StoreState newest_;
};

/// Of plain images and of encrypted ones.
class FailingDeviceTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Images, FailingDeviceTest, testing::Bool(),
                         [](const auto& image) { return image.param ? "encrypted" : "plain"; });

TEST_P(FailingDeviceTest, FailedWritesLoseNothingThatWasAcknowledged) {
  EXPECT_GT(fail_each<FailingRun>(OperationKind::write, GetParam()), 10U);
}
TEST_P(FailingDeviceTest, FailedDurableWritesLoseNothingThatWasAcknowledged) {
  EXPECT_GT(fail_each<FailingRun>(OperationKind::write_durable, GetParam()), 30U);
}
TEST_P(FailingDeviceTest, FailedFlushesLoseNothingThatWasAcknowledged) {
  EXPECT_GT(fail_each<FailingRun>(OperationKind::flush, GetParam()), 3U);
}
TEST_P(FailingDeviceTest, FailedReadsLoseNothingThatWasAcknowledged) {
  EXPECT_GT(fail_each<FailingRun>(OperationKind::read, GetParam()), 2U);
}

} // namespace
} // namespace vnvram::test
