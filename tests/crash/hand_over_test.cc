// An image that two hosts reach (invariants 7c to 7h): one of them hands it over and takes it back,
// or comes for it, and the other one wants it wherever that is no stall between a look and its
// write (model/handover.pml, LIMIT_STALL), or, where there is a lock, anywhere. Exactly one goes
// on, and nothing is lost that was acknowledged to either.
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/shared_image.h"
#include "format/layout.h"
#include "support/expect_status.h"
#include "support/random.h"
#include "vnvram/take_over.h"

namespace vnvram::test {
namespace {

using Disk = std::shared_ptr<SimulatedDisk>;
using Content = std::vector<std::byte>;

enum class Other { destination, source, word };

struct MeetingCase {
  std::string name;
  Other second = Other::destination;
  bool locks = false;
};

void PrintTo(const MeetingCase& what, std::ostream* out) {
  *out << what.name;
}

/// One of them hands over and takes back, or comes; the other one tries to go on before the
/// count-th moment of that.
class Meeting {
public:
  Meeting(const MeetingCase& what, std::uint64_t count) : case_(what), count_(count) {
    disk_ = shared_disk(false, expected_);
    auto source = open_as(disk_, std::nullopt, case_.locks);
    EXPECT_OK(source);
    EXPECT_OK(commit(**source));
    ways_.emplace(hand_over_number(1), epoch_of(**source));
    if (case_.second != Other::destination) {
      EXPECT_OK((*source)->seal(*ways_->destination.hand_over));
      (*source)->abandon();
    }
    disk_->set_hook([this](const SimulatedOperation& operation) { at(operation); });
    if (case_.second == Other::destination) {
      hand_over_and_take_back(**source);
    } else {
      judge_going_on(ways_->destination);
    }
    disk_->set_hook({});
    expect_soundness();
  }

  [[nodiscard]] bool tried() const { return tried_; }
  [[nodiscard]] bool came() const { return came_; }

private:
  void at(const SimulatedOperation& operation) {
    const bool looks = operation.kind == OperationKind::read &&
                       operation.offset_bytes < format::superblock_count * block_size_bytes;
    if (looks || case_.locks) {
      moment();
    }
  }
  void moment() {
    if (busy_ || tried_ || ++moments_ != count_) {
      return;
    }
    busy_ = true;
    tried_ = true;
    came_ = goes_on();
    busy_ = false;
  }

  bool goes_on() {
    if (case_.second == Other::word) { // Of an operator who errs.
      auto device = std::make_unique<SimulatedDevice>(disk_);
      if (!case_.locks) {
        device->set_capabilities({.write = true});
      }
      return unseal_image(std::move(device), deterministic_options()).ok();
    }
    auto store =
        open_as(disk_, case_.second == Other::destination ? ways_->destination : ways_->source,
                case_.locks);
    if (!store.ok()) {
      return false;
    }
    second_ = *std::move(store);
    if (second_->info().sealed) {
      EXPECT_OK(second_->unseal());
    }
    EXPECT_OK(commit(*second_));
    return true;
  }

  Status commit(Store& store) {
    Transaction transaction;
    transaction.write_range("a", random_.below(4000), random_.bytes(1 + random_.below(3000)));
    Status done = store.commit(transaction);
    if (done) {
      expected_.apply(transaction);
    }
    return done;
  }

  void hand_over_and_take_back(Store& source) {
    judge("a commit", commit(source));
    const Status sealed = source.seal(*ways_->destination.hand_over);
    judge("the seal", sealed);
    source.abandon();
    moment();
    judge_going_on(ways_->source);
  }
  void judge_going_on(const GoOn& way) {
    auto store = open_as(disk_, way, case_.locks);
    judge("opening", store.ok() ? Status() : store.error());
    moment();
    if (!store.ok()) {
      return;
    }
    first_ = *std::move(store);
    if (first_->info().sealed) {
      judge("taking the seal off", first_->unseal());
    }
    moment();
    // INV7c
    judge("a commit", commit(*first_));
    judge("another one", commit(*first_));
  }

  void judge(const char* what, const Status& status) const {
    EXPECT_NE(status.ok(), came_) << what << " of the first one: "
                                  << (status ? "done" : status.error().text());
  }

  void expect_soundness() {
    Store* goes_on = came_ ? second_.get() : first_.get();
    if (goes_on != nullptr) {
      EXPECT_OK(commit(*goes_on));
      EXPECT_OK(goes_on->close());
    }
    first_.reset();
    second_.reset();
    EXPECT_FALSE(open_as(disk_, ways_->destination).ok()); // INV7f
    EXPECT_FALSE(open_as(disk_, ways_->source).ok());
    const auto store = open_as(disk_, std::nullopt);
    ASSERT_OK(store);
    const Result<StoreState> found = StoreState::capture(**store);
    ASSERT_OK(found);
    EXPECT_TRUE(*found == expected_) << found->difference(expected_); // INV7d
  }

  const MeetingCase case_;
  const std::uint64_t count_;
  Random random_{23};
  StoreState expected_; ///< All that was acknowledged, to whomever.
  Disk disk_;
  std::optional<Ways> ways_;
  std::unique_ptr<Store> first_;
  std::unique_ptr<Store> second_;
  std::uint64_t moments_ = 0;
  bool busy_ = false;
  bool tried_ = false;
  bool came_ = false;
};

class EveryMeetingTest : public testing::TestWithParam<MeetingCase> {};

TEST_P(EveryMeetingTest, OneOfThemGoesOnWhereverTheOtherComes) {
  std::uint64_t came = 0;
  for (std::uint64_t count = 1;; ++count) {
    SCOPED_TRACE(fmt::format("moment {}", count));
    const Meeting run(GetParam(), count);
    came += run.came() ? 1U : 0U;
    if (!run.tried() || HasFailure()) {
      EXPECT_GT(count, 5U);
      EXPECT_GT(came, 0U);
      // Without a lock a word that is wrong overtakes whomever.
      EXPECT_TRUE(came < count - 1 || (GetParam().second == Other::word && !GetParam().locks));
      return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , EveryMeetingTest,
    testing::Values(MeetingCase{"TheDestinationWithoutALock", Other::destination, false},
                    MeetingCase{"TheDestinationWithALock", Other::destination, true},
                    MeetingCase{"TheSourceWithoutALock", Other::source, false},
                    MeetingCase{"TheSourceWithALock", Other::source, true},
                    MeetingCase{"AWordWithoutALock", Other::word, false},
                    MeetingCase{"AWordWithALock", Other::word, true}),
    [](const auto& test) { return test.param.name; });

TEST(HandOverTest, WhatIsSealedForAHandOverIsTakenOverByNobody) {
  StoreState content;
  const Disk disk = shared_disk(false, content);
  auto source = open_as(disk, std::nullopt);
  ASSERT_OK(source);
  ASSERT_OK((*source)->seal(hand_over_number(1)));
  (*source)->abandon();
  const Content before = disk->cache();
  SimulatedDevice device(disk);
  EXPECT_KIND(take_over(device, OwnerWord::is_dead, {}), sealed);
  EXPECT_EQ(disk->cache(), before);
}

} // namespace
} // namespace vnvram::test
