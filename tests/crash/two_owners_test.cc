// Two owners of one disk that no lock keeps apart (invariant 7): the second one comes wherever the
// first one looks, and whenever it does nothing. From then on the first has nothing acknowledged,
// and whatever it still does, nothing is lost that was acknowledged to either.
#include <algorithm>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "format/layout.h"
#include "support/random.h"
#include "support/skipping_clock.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t image_size_bytes = std::uint64_t{384} << 10U;
constexpr std::uint64_t ring_size_bytes = std::uint64_t{128} << 10U; // Its first half is not left.

struct OwnersCase {
  std::string name;
  DeviceCapabilities can;
  unsigned commits = 1; ///< Of the second owner, when it comes.
  bool closes = false;  ///< It is gone again when the first one goes on.
};

void PrintTo(const OwnersCase& what, std::ostream* out) {
  *out << what.name;
}

std::shared_ptr<SimulatedDisk> new_disk(StoreState& content) {
  auto disk = std::make_shared<SimulatedDisk>(Bytes(image_size_bytes));
  CreateOptions create;
  create.ring_size_bytes = ring_size_bytes;
  create.blobs.push_back(
      {.spec = {.name = "a", .type = "test", .size_max_bytes = 9000}, .content = {}});
  content.register_blob(create.blobs.back().spec);
  SimulatedDevice device(disk);
  EXPECT_TRUE(create_image(device, create).ok());
  return disk;
}

/// One first owner with its workload, and a second one that comes before the count-th moment at
/// which that is no stall of the first (model/owners.pml, LIMIT_STALL).
class TwoOwners {
public:
  TwoOwners(const OwnersCase& what, std::uint64_t count) : case_(what), count_(count) {
    disk_ = new_disk(expected_);
    first_ = open();
    if (first_ == nullptr) {
      return;
    }
    disk_->set_hook([this](const SimulatedOperation& operation) { at(operation); });
    work();
    if (came_) {
      expect_soundness();
    }
    disk_->set_hook({});
  }

  [[nodiscard]] bool came() const { return came_; }

private:
  std::unique_ptr<Store> open() {
    auto device = std::make_unique<SimulatedDevice>(disk_);
    device->set_capabilities(case_.can);
    auto store = Store::open(std::move(device), deterministic_options());
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }

  void at(const SimulatedOperation& operation) {
    const bool looks = operation.kind == OperationKind::read &&
                       operation.offset_bytes < format::superblock_count * block_size_bytes;
    // Where the look goes out with the record that is no gap between the two.
    const bool record = operation.kind == OperationKind::write_durable && looks_with_commits() &&
                        operation.offset_bytes >= format::ring_start_block * block_size_bytes;
    if (looks || record) {
      moment();
    }
  }

  [[nodiscard]] bool looks_with_commits() const {
    return case_.can.remote || case_.can.read_beside_write;
  }

  void moment() {
    if (busy_ || came_ || ++moments_ != count_) {
      return;
    }
    busy_ = true;
    second_ = open();
    came_ = true;
    know_what_it_found();
    for (unsigned i = 0; i < case_.commits && second_ != nullptr; ++i) {
      EXPECT_TRUE(commit(*second_).ok()) << "the second owner";
    }
    if (case_.closes && second_ != nullptr) {
      EXPECT_TRUE(second_->close().ok());
      second_.reset();
    }
    busy_ = false;
  }

  /// What the first one had on its way then may be there, as after any cut.
  void know_what_it_found() {
    if (second_ == nullptr) {
      return;
    }
    const Result<StoreState> found = StoreState::capture(*second_);
    ASSERT_TRUE(found.ok()) << found.error().text();
    StoreState with_it = expected_;
    if (on_its_way_ != nullptr) {
      with_it.apply(*on_its_way_);
    }
    EXPECT_TRUE(*found == expected_ || *found == with_it) << found->difference(expected_);
    expected_ = *found;
  }

  Transaction some_change() {
    Transaction transaction;
    transaction.write_range("a", random_.below(4000), random_.bytes(1 + random_.below(3000)));
    return transaction;
  }

  Status commit(Store& store) {
    const Transaction transaction = some_change();
    Status status = store.commit(transaction);
    if (status) {
      expected_.apply(transaction);
    }
    return status;
  }

  /// `deferred`: by way of a deferred write and a flush.
  Status change_first(bool deferred) {
    Transaction transaction = some_change();
    if (deferred) {
      const auto& update = transaction.updates().front();
      const Status taken =
          first_->write_range_deferred(update.blob, update.offset_bytes, update.bytes);
      if (!taken) {
        return taken;
      }
    }
    on_its_way_ = &transaction;
    Status status = deferred ? first_->flush() : first_->commit(transaction);
    on_its_way_ = nullptr;
    if (status) {
      expected_.apply(transaction);
    }
    return status;
  }

  void work() {
    for (int i = 0; i < 14; ++i) {
      if (i % 5 == 4) {
        judge("a checkpoint", first_->checkpoint());
      } else {
        judge("a commit", change_first(i % 7 == 3));
      }
      moment(); // Between two calls.
    }
    judge("the end", first_->close());
  }

  void judge(const char* what, const Status& status) const {
    EXPECT_NE(status.ok(), came_) << what << " of the first owner: "
                                  << (status ? "done" : status.error().text());
  }

  void expect_soundness() {
    if (second_ != nullptr) {
      EXPECT_TRUE(commit(*second_).ok()) << "the second owner goes on";
    }
    expect_content(std::make_shared<SimulatedDisk>(Bytes(disk_->durable())), "after a cut");
    if (second_ != nullptr) {
      EXPECT_TRUE(second_->close().ok());
    }
    expect_content(disk_, "after the end");
  }

  void expect_content(const std::shared_ptr<SimulatedDisk>& disk, const char* when) const {
    disk_->set_hook({});
    SimulatedDevice device(disk, Access::read_only);
    const auto report = check_image(device);
    ASSERT_TRUE(report.ok()) << when << ": " << report.error().text();
    for (const CheckProblem& problem : report->problems) {
      EXPECT_FALSE(problem.data_lost) << when << ": " << problem.place << ": " << problem.what;
    }
    const auto store =
        Store::open(std::make_unique<SimulatedDevice>(disk), deterministic_options());
    ASSERT_TRUE(store.ok()) << when << ": " << store.error().text();
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_TRUE(found.ok()) << when << ": " << found.error().text();
    EXPECT_TRUE(*found == expected_) << when << ": " << found->difference(expected_);
  }

  const OwnersCase case_;
  const std::uint64_t count_;
  Random random_{11};
  StoreState expected_; ///< All that was acknowledged, to whomever.
  std::shared_ptr<SimulatedDisk> disk_;
  std::unique_ptr<Store> first_;
  std::unique_ptr<Store> second_;
  std::uint64_t moments_ = 0;
  const Transaction* on_its_way_ = nullptr; ///< Of the first owner.
  bool came_ = false;
  bool busy_ = false;
};

// The first owner's last look is as young as can be, since no time passes but where it must, and
// the second one fills more than half of the ring at once: what the first then writes before it
// knows must not be over a record of the second.
TEST(TwoOwnersTest, AnOwnerThatWasOvertakenWhileIdleDestroysNoRecord) {
  constexpr DeviceCapabilities can = {.write = true, .read_beside_write = true};
  constexpr unsigned ring_blocks = ring_size_bytes / block_size_bytes;
  for (unsigned commits = 1; commits <= 2 * ring_blocks; ++commits) {
    StoreState expected;
    const auto disk = new_disk(expected);
    SkippingClock clock;
    const auto open = [&] {
      auto device = std::make_unique<SimulatedDevice>(disk);
      device->set_capabilities(can);
      OpenOptions options = deterministic_options();
      options.clock = &clock;
      return Store::open(std::move(device), std::move(options));
    };
    const auto change = [&](Store& store, unsigned number) {
      Transaction transaction;
      transaction.write_range("a", number * 10, Random(number).bytes(10));
      const Status status = store.commit(transaction);
      if (status) {
        expected.apply(transaction);
      }
      return status;
    };
    const auto first = open();
    ASSERT_TRUE(first.ok() && change(**first, 500).ok() && change(**first, 501).ok());
    const auto second = open();
    ASSERT_TRUE(second.ok());
    for (unsigned i = 0; i < commits; ++i) {
      ASSERT_TRUE(change(**second, i).ok());
    }
    EXPECT_FALSE(change(**first, 502).ok());
    const auto store = Store::open(
        std::make_unique<SimulatedDevice>(std::make_shared<SimulatedDisk>(Bytes(disk->durable()))),
        deterministic_options());
    ASSERT_TRUE(store.ok()) << commits << " commits: " << store.error().text();
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_TRUE(found.ok()) << commits << " commits: " << found.error().text();
    ASSERT_TRUE(*found == expected) << commits << " commits: " << found->difference(expected);
  }
}

class EveryTwoOwnersTest : public testing::TestWithParam<OwnersCase> {};

TEST_P(EveryTwoOwnersTest, Invariant7HoldsWhereverTheSecondOneComes) {
  for (std::uint64_t count = 1;; ++count) {
    SCOPED_TRACE(fmt::format("moment {}", count));
    const TwoOwners run(GetParam(), count);
    if (!run.came() || HasFailure()) {
      RecordProperty("faults", std::to_string(count - 1));
      EXPECT_GT(count, 20U);
      return;
    }
  }
}

std::vector<OwnersCase> owners_cases() {
  std::vector<OwnersCase> list;
  for (const auto& [where, can] :
       {std::pair{"Here", DeviceCapabilities{.write = true}},
        std::pair{"HereWithALookBesideTheWrite",
                  DeviceCapabilities{.write = true, .read_beside_write = true}},
        std::pair{"Remote", DeviceCapabilities{.write = true, .remote = true}}}) {
    for (const unsigned commits : {1U, 3U}) {
      for (const bool closes : {false, true}) {
        list.push_back(
            {.name = fmt::format("{}{}Commits{}", where, commits, closes ? "AndGoes" : ""),
             .can = can,
             .commits = commits,
             .closes = closes});
      }
    }
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(, EveryTwoOwnersTest, testing::ValuesIn(owners_cases()),
                         [](const auto& test) { return test.param.name; });

} // namespace
} // namespace vnvram::test
