// An owner lives, and goes on, while another one opens its image where no lock keeps the two apart
// (invariant 7l): by false word of an operator, or since both hosts have one name. Whatever was
// acknowledged to it is there for whoever has the image then, also if the opening is cut.
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "support/random.h"
#include "support/skipping_clock.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t image_size_bytes = std::uint64_t{384} << 10U;
constexpr std::uint64_t ring_size_bytes = std::uint64_t{128} << 10U;

struct OvertakenCase {
  std::string name;
  DeviceCapabilities can;
  unsigned commits = 0;    ///< What the owner does in the middle of the opening: this many,
  bool checkpoint = false; ///< and then this,
  bool closes = false;     ///< or that.
  /// The ring is nearly full first, so that its next commit makes room, and goes over records that
  /// the opening has read.
  bool fills_ring = false;
};

void PrintTo(const OvertakenCase& what, std::ostream* out) {
  *out << what.name;
}

/// An owner, and an opening before whose count-th operation the owner goes on.
class OvertakenOpening {
public:
  OvertakenOpening(const OvertakenCase& what, std::uint64_t count) : case_(what), count_(count) {
    create();
    owner_ = open();
    if (owner_ == nullptr) {
      return;
    }
    for (int i = 0; i < 3; ++i) {
      change();
    }
    for (int i = 0; case_.fills_ring && i < 60 && !is_ring_full(); ++i) {
      change();
    }
    disk_->set_hook([this](const SimulatedOperation& operation) {
      // Between a look and its write nothing without a lock helps (model/owners.pml, LIMIT_STALL).
      const bool is_written = operation.kind == OperationKind::write_durable &&
                              operation.offset_bytes < 2 * block_size_bytes;
      if (!case_.fills_ring || !is_written) {
        at_operation();
      }
    });
    is_opening_ = true;
    auto opened = try_to_open();
    is_opening_ = false;
    disk_->set_hook({});
    if (!came_) {
      return;
    }
    expect_all_of(opened);
  }

  [[nodiscard]] bool came() const { return came_; }
  [[nodiscard]] unsigned acknowledged() const { return acknowledged_; } ///< In the opening.
  [[nodiscard]] bool refused() const { return refused_; }

private:
  void create() {
    disk_ = std::make_shared<SimulatedDisk>(Bytes(image_size_bytes));
    CreateOptions create;
    create.ring_size_bytes = ring_size_bytes;
    create.blobs.push_back(
        {.spec = {.name = "a", .type = "test", .size_max_bytes = 9000}, .content = {}});
    expected_.register_blob(create.blobs.back().spec);
    SimulatedDevice device(disk_);
    EXPECT_TRUE(create_image(device, create).ok());
  }

  Result<std::unique_ptr<Store>> try_to_open() {
    auto device = std::make_unique<SimulatedDevice>(disk_);
    device->set_capabilities(case_.can);
    OpenOptions options = deterministic_options();
    options.clock = &clock_;
    return Store::open(std::move(device), std::move(options));
  }
  std::unique_ptr<Store> open() {
    auto store = try_to_open();
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }

  /// There is no room for one more record of one block, or of two if need be.
  [[nodiscard]] bool is_ring_full() const {
    return owner_->info().ring_used_bytes + (2 * block_size_bytes) >=
           owner_->info().ring_size_bytes;
  }

  /// Of the owner. What is not acknowledged may be there or not.
  void change() {
    Transaction transaction;
    transaction.write_range("a", random_.below(4000), random_.bytes(1 + random_.below(3000)));
    in_flight_ = expected_;
    in_flight_->apply(transaction);
    if (owner_->commit(transaction).ok()) {
      expected_ = *std::exchange(in_flight_, std::nullopt);
      acknowledged_ += is_opening_ ? 1U : 0U;
    }
  }

  void at_operation() {
    if (busy_) {
      return;
    }
    busy_ = true;
    if (++operations_ == count_) {
      came_ = true;
      for (unsigned i = 0; i < case_.commits && !in_flight_; ++i) {
        change();
      }
      if (case_.checkpoint) {
        static_cast<void>(owner_->checkpoint());
      }
      if (case_.closes) {
        static_cast<void>(owner_->close());
      }
    }
    if (came_) {
      expect_content(std::make_shared<SimulatedDisk>(Bytes(disk_->durable())), "after a cut");
    }
    busy_ = false;
  }

  void expect_all_of(Result<std::unique_ptr<Store>>& opened) {
    refused_ = !opened.ok();
    if (refused_) { // It was seen that the owner lives, or has just closed it.
      EXPECT_EQ(opened.error().kind(), ErrorKind::in_use) << opened.error().text();
      opened = try_to_open();
      ASSERT_TRUE(opened.ok()) << opened.error().text();
    }
    expect_state(**opened, "the new owner");
    if (!case_.closes) {
      const std::uint64_t before = acknowledged_;
      is_opening_ = true;
      change();
      is_opening_ = false;
      EXPECT_EQ(acknowledged_, before) << "the old owner goes on";
      in_flight_.reset();
    }
    EXPECT_TRUE((*opened)->write("a", random_.bytes(100)).ok());
  }

  void expect_content(const std::shared_ptr<SimulatedDisk>& disk, const char* when) const {
    const auto store =
        Store::open(std::make_unique<SimulatedDevice>(disk), deterministic_options());
    ASSERT_TRUE(store.ok()) << when << ": " << store.error().text();
    expect_state(**store, when);
  }
  void expect_state(Store& store, const char* when) const {
    const Result<StoreState> found = StoreState::capture(store);
    ASSERT_TRUE(found.ok()) << when << ": " << found.error().text();
    EXPECT_TRUE(*found == expected_ || (in_flight_ && *found == *in_flight_))
        << when << ": " << found->difference(expected_);
  }

  const OvertakenCase case_;
  const std::uint64_t count_;
  Random random_{17};
  SkippingClock clock_;
  StoreState expected_; ///< All that was acknowledged.
  std::optional<StoreState> in_flight_;
  std::shared_ptr<SimulatedDisk> disk_;
  std::unique_ptr<Store> owner_;
  std::uint64_t operations_ = 0; ///< Of the opening.
  unsigned acknowledged_ = 0;
  bool is_opening_ = false;
  bool busy_ = false;
  bool came_ = false;
  bool refused_ = false;
};

class EveryOvertakenOpeningTest : public testing::TestWithParam<OvertakenCase> {};

TEST_P(EveryOvertakenOpeningTest, NothingAcknowledgedIsLostWhereverItsOwnerGoesOn) {
  unsigned acknowledged = 0;
  unsigned refused = 0;
  for (std::uint64_t count = 1;; ++count) {
    SCOPED_TRACE(fmt::format("operation {}", count));
    const OvertakenOpening run(GetParam(), count);
    acknowledged += run.acknowledged();
    refused += run.refused() ? 1U : 0U;
    if (!run.came() || HasFailure()) {
      EXPECT_GT(count, 15U);
      break;
    }
  }
  if (GetParam().commits > 0) { // Both before and behind the claim.
    EXPECT_GT(acknowledged, 5U);
  }
  fmt::print("{} commits in the middle of openings, {} openings refused\n", acknowledged, refused);
}

// Of two that open what a dead one has left, the one that is overtaken by the other is not the one
// that has it open, and has been answered.
TEST(OvertakenOpeningTest, WhoHasOpenedItMeanwhileIsNotOvertaken) {
  unsigned refused = 0;
  for (std::uint64_t count = 1, operations = 0; operations >= count - 1; ++count) {
    SCOPED_TRACE(fmt::format("operation {}", count));
    const auto disk = std::make_shared<SimulatedDisk>(Bytes(image_size_bytes));
    SkippingClock clock;
    const auto open = [&] {
      auto device = std::make_unique<SimulatedDevice>(disk);
      device->set_capabilities({.write = true, .remote = true});
      OpenOptions options = deterministic_options();
      options.clock = &clock;
      return Store::open(std::move(device), std::move(options));
    };
    CreateOptions create;
    create.ring_size_bytes = ring_size_bytes;
    create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = 9000}, .content = {}}};
    SimulatedDevice device(disk);
    ASSERT_TRUE(create_image(device, create).ok());
    const auto dead = open();
    ASSERT_TRUE(dead.ok() && (*dead)->write("a", Random(1).bytes(100)).ok());
    std::unique_ptr<Store> other;
    bool has_looked = false;
    operations = 0;
    disk->set_hook([&](const SimulatedOperation& operation) {
      if (has_looked && operations < count && ++operations == count) {
        auto opened = open();
        ASSERT_TRUE(opened.ok()) << opened.error().text();
        other = *std::move(opened);
        EXPECT_TRUE(other->write("a", Random(2).bytes(100)).ok());
      }
      has_looked = has_looked || operation.offset_bytes >= 2 * block_size_bytes;
    });
    const auto opened = open();
    disk->set_hook({});
    if (other != nullptr) {
      refused += opened.ok() ? 0U : 1U; // Else it was overtaken once it had its epoch.
      const Status told = opened ? (*opened)->write("a", Random(4).bytes(100)) : opened.error();
      ASSERT_FALSE(told.ok());
      EXPECT_EQ(told.error().kind(), ErrorKind::in_use) << told.error().text();
      EXPECT_TRUE(other->write("a", Random(3).bytes(100)).ok());
    }
  }
  EXPECT_GT(refused, 10U);
}

std::vector<OvertakenCase> overtaken_cases() {
  std::vector<OvertakenCase> list;
  for (const auto& [where, can] :
       {std::pair{"Here", DeviceCapabilities{.write = true}},
        std::pair{"HereWithALookBesideTheWrite",
                  DeviceCapabilities{.write = true, .read_beside_write = true}},
        std::pair{"Remote", DeviceCapabilities{.write = true, .remote = true}},
        std::pair{"Nbd",
                  DeviceCapabilities{.write = true, .content_may_change = true, .remote = true}}}) {
    const auto add = [&, where = where, can = can](const char* what, unsigned commits,
                                                   bool checkpoint, bool closes,
                                                   bool fills_ring = false) {
      list.push_back({.name = fmt::format("{}{}", where, what),
                      .can = can,
                      .commits = commits,
                      .checkpoint = checkpoint,
                      .closes = closes,
                      .fills_ring = fills_ring});
    };
    add("ACommit", 1, false, false);
    add("ThreeCommits", 3, false, false);
    add("ACheckpoint", 0, true, false);
    add("ACommitAndACheckpoint", 1, true, false);
    add("ACommitAndTheEnd", 1, false, true);
    if (can.content_may_change) { // Else a half is always free.
      add("CommitsInAFullRing", 3, false, false, true);
    }
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(, EveryOvertakenOpeningTest, testing::ValuesIn(overtaken_cases()),
                         [](const auto& test) { return test.param.name; });

} // namespace
} // namespace vnvram::test
