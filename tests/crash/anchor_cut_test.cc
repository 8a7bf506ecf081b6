// Invariant 12: an image and its anchor, cut at every write of either, belong together; one that
// was put back, or went on without the anchor, is refused, and nothing is written to it.
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/shared_image.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/memory_anchor.h"
#include "support/simulated_device.h"

namespace vnvram::test {
namespace {

using Content = std::vector<std::byte>;
constexpr std::uint64_t image_size_bytes = std::uint64_t{512} << 10U;

std::shared_ptr<SimulatedDisk> new_disk(bool encrypted) {
  auto disk = std::make_shared<SimulatedDisk>(Content(image_size_bytes));
  SimulatedDevice device(disk);
  CreateOptions create;
  create.ring_size_bytes = std::uint64_t{64} << 10U; // So that checkpoints come often.
  create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = 64}, .content = {}}};
  if (encrypted) {
    create.data_key = data_key();
  }
  EXPECT_OK(create_image(device, create));
  return disk;
}

OpenOptions anchored(std::shared_ptr<MemoryAnchor> anchor,
                     AnchorPolicy::Moment moment = AnchorPolicy::Moment::commit) {
  OpenOptions options = deterministic_options();
  options.anchor = {.anchor = std::move(anchor), .policy = {.moment = moment}};
  return options;
}

std::shared_ptr<MemoryAnchor> accepted(const std::shared_ptr<SimulatedDisk>& disk) {
  auto anchor = std::make_shared<MemoryAnchor>();
  EXPECT_OK(accept_anchor(std::make_unique<SimulatedDevice>(disk), anchor, {},
                          deterministic_options().keys));
  return anchor;
}

Content content(unsigned version) {
  return {static_cast<std::byte>(version), static_cast<std::byte>(version >> 8U)};
}

/// Looks at what each cut leaves.
class Cutter {
public:
  Cutter(std::shared_ptr<SimulatedDisk> disk, std::shared_ptr<MemoryAnchor> anchor)
      : disk_(std::move(disk)), anchor_(std::move(anchor)) {
    disk_->set_hook([this](const SimulatedOperation& operation) {
      if (operation.kind != OperationKind::read) {
        look(&operation, anchor_->point());
      }
    });
    anchor_->set_hook([this](const AnchorPoint& next) {
      look(nullptr, anchor_->point());
      look(nullptr, next);
    });
  }
  ~Cutter() {
    disk_->set_hook({});
    anchor_->set_hook({});
  }
  Cutter(const Cutter&) = delete;
  Cutter& operator=(const Cutter&) = delete;

  void answered(unsigned version) { answered_ = version; }
  void asked(unsigned version) { asked_ = version; }
  [[nodiscard]] std::uint64_t images() const { return images_; }
  [[nodiscard]] std::uint64_t ahead() const { return ahead_; }

private:
  static constexpr std::uint64_t choice_max = 6;

  void look(const SimulatedOperation* operation, const std::optional<AnchorPoint>& point) {
    if (testing::Test::HasFailure()) {
      return;
    }
    const CrashState state(*disk_, operation);
    for (std::uint64_t number = 0; number < choice_max; ++number) {
      ++images_;
      expect_together(state.power_cut({.number = number}, choice_max), point);
    }
  }
  void expect_together(const Content& image, const std::optional<AnchorPoint>& point) {
    const auto disk = std::make_shared<SimulatedDisk>(image);
    const auto anchor = std::make_shared<MemoryAnchor>(point);
    const auto found =
        compare_with_anchor(std::make_unique<SimulatedDevice>(disk, Access::read_only), *anchor,
                            deterministic_options().keys);
    ASSERT_OK(found);
    ASSERT_EQ(verdict_name(found->verdict), "at-anchor") << found->reason.value_or("");
    ASSERT_LE(found->image.generation, found->anchored->generation + 1);
    ahead_ += found->image.generation - found->anchored->generation;
    OpenOptions options = anchored(anchor);
    options.accept_sealed = true;
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), options);
    ASSERT_OK(store);
    if ((*store)->info().sealed) {
      ASSERT_OK((*store)->unseal());
    }
    const auto read = (*store)->read("a");
    ASSERT_OK(read);
    EXPECT_TRUE(*read == content(answered_) || *read == content(asked_));
    ASSERT_OK((*store)->write("a", content(9999)));
    ASSERT_EQ(anchor->point()->generation, (*store)->info().generation);
    ASSERT_OK((*store)->close());
  }

  std::shared_ptr<SimulatedDisk> disk_;
  std::shared_ptr<MemoryAnchor> anchor_;
  unsigned answered_ = 0;
  unsigned asked_ = 0;
  std::uint64_t images_ = 0;
  std::uint64_t ahead_ = 0;
};

/// Of plain images and of encrypted ones.
class AnchorCutTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Images, AnchorCutTest, testing::Bool(),
                         [](const auto& image) { return image.param ? "encrypted" : "plain"; });

TEST_P(AnchorCutTest, Invariant12HoldsAtEveryCut) {
  const auto disk = new_disk(GetParam());
  const auto anchor = accepted(disk);
  unsigned version = 1;
  {
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
    ASSERT_OK(store);
    ASSERT_OK((*store)->write("a", content(version)));
    ASSERT_OK((*store)->close());
  }
  Cutter cutter(disk, anchor);
  cutter.answered(version);
  cutter.asked(version);
  for (int opening = 0; opening < 3; ++opening) {
    auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
    ASSERT_OK(store);
    for (int commit = 0; commit < 12; ++commit) {
      cutter.asked(++version);
      ASSERT_OK((*store)->write("a", content(version)));
      cutter.answered(version);
    }
    if (opening == 1) {
      (void)(*store)->abandon();
    } else {
      ASSERT_OK((*store)->seal());
      ASSERT_OK((*store)->unseal());
      ASSERT_OK((*store)->close());
    }
  }
  fmt::print("{} images, {} of them one ahead\n", cutter.images(), cutter.ahead());
  EXPECT_GT(cutter.images(), 500U);
  EXPECT_GT(cutter.ahead(), 30U);
}

/// Refused with this verdict, by its name, and left alone.
void expect_refused(const Content& image, const AnchorPoint& point, AnchorVerdict verdict,
                    const std::string& where) {
  SCOPED_TRACE(where);
  const auto disk = std::make_shared<SimulatedDisk>(image);
  const auto anchor = std::make_shared<MemoryAnchor>(point);
  const auto found = compare_with_anchor(std::make_unique<SimulatedDevice>(disk, Access::read_only),
                                         *anchor, deterministic_options().keys);
  ASSERT_OK(found);
  EXPECT_EQ(verdict_name(found->verdict), verdict_name(verdict));
  for (const auto moment : {AnchorPolicy::Moment::commit, AnchorPolicy::Moment::open}) {
    const auto store =
        Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor, moment));
    EXPECT_KIND(store, not_at_anchor);
    EXPECT_EQ(store.error().cause(), found->reason.value_or("none"));
  }
  EXPECT_EQ(disk->count(OperationKind::write) + disk->count(OperationKind::write_durable), 0U);
  EXPECT_TRUE(disk->cache() == image);
  EXPECT_EQ(anchor->point(), point);
  EXPECT_EQ(anchor->write_count(), 0U);
  EXPECT_FALSE(anchor->is_locked());
}

TEST_P(AnchorCutTest, Invariant12RefusesEveryOlderState) {
  const auto disk = new_disk(GetParam());
  const auto anchor = accepted(disk);
  std::vector<Content> earlier;
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::write_durable) {
      earlier.push_back(disk->durable());
    }
  });
  for (unsigned opening = 0; opening < 2; ++opening) {
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
    ASSERT_OK(store);
    for (unsigned commit = 0; commit < 10; ++commit) {
      ASSERT_OK((*store)->write("a", content(commit + 1)));
    }
    (void)(*store)->abandon();
  }
  disk->set_hook({});
  ASSERT_GT(earlier.size(), 20U);
  for (std::size_t at = 0; at < earlier.size(); ++at) {
    expect_refused(earlier[at], *anchor->point(), AnchorVerdict::rolled_back, std::to_string(at));
  }
}

/// A copy that is opened, as somebody else does who has no anchor, or one of their own.
Content gone_on(const Content& image, unsigned commits, bool with_own_anchor) {
  const auto disk = std::make_shared<SimulatedDisk>(image);
  OpenOptions options = deterministic_options();
  if (with_own_anchor) {
    options = anchored(accepted(disk));
  }
  const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), options);
  EXPECT_OK(store);
  for (unsigned commit = 0; commit < commits; ++commit) {
    EXPECT_OK((*store)->write("a", content(commit + 100)));
  }
  EXPECT_OK((*store)->close());
  return disk->durable();
}

TEST_P(AnchorCutTest, Invariant12RefusesACopyThatWentOn) {
  const auto disk = new_disk(GetParam());
  const auto anchor = accepted(disk);
  std::vector<Content> copies;
  for (const unsigned commits : {3U, 5U}) {
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
    ASSERT_OK(store);
    for (unsigned commit = 0; commit < commits; ++commit) {
      ASSERT_OK((*store)->write("a", content(commit + 1)));
    }
    copies.push_back(disk->durable()); // With the owner running.
    ASSERT_OK((*store)->close());
    copies.push_back(disk->durable());
  }
  const AnchorPoint point = *anchor->point();
  // The newest ones, however they went on: also without a commit.
  for (const std::size_t at : {std::size_t{2}, std::size_t{3}}) {
    for (const unsigned commits : {0U, 1U, 20U}) {
      for (const bool with_own_anchor : {false, true}) {
        expect_refused(gone_on(copies[at], commits, with_own_anchor), point, AnchorVerdict::forked,
                       fmt::format("{}, {} commits", at, commits));
      }
    }
  }
  // Those of an earlier opening, that went on beyond it.
  expect_refused(gone_on(copies[1], 20, false), point, AnchorVerdict::forked, "earlier");
  // The image itself goes on.
  const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
  ASSERT_OK(store);
}

// It has the same generation as what was handed over: only the seal tells the two apart.
TEST_P(AnchorCutTest, Invariant12RefusesWhatIsFromBeforeAHandOver) {
  const auto disk = new_disk(GetParam());
  const auto anchor = accepted(disk);
  std::vector<Content> earlier;
  {
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
    ASSERT_OK(store);
    ASSERT_OK((*store)->write("a", content(1)));
    disk->set_hook([&](const SimulatedOperation& operation) {
      if (operation.kind == OperationKind::write_durable) {
        earlier.push_back(disk->durable());
      }
    });
    ASSERT_OK((*store)->seal(hand_over_number(1)));
    (void)(*store)->abandon();
  }
  disk->set_hook({});
  const AnchorPoint point = *anchor->point();
  ASSERT_TRUE(point.sealed);
  unsigned refused = 0;
  for (const Content& image : earlier) {
    const auto found = compare_with_anchor(
        std::make_unique<SimulatedDevice>(std::make_shared<SimulatedDisk>(image)), *anchor,
        deterministic_options().keys);
    ASSERT_OK(found);
    EXPECT_EQ(found->image.generation, point.generation);
    if (!found->image.sealed) {
      expect_refused(image, point, AnchorVerdict::rolled_back, std::to_string(refused++));
    }
  }
  EXPECT_GT(refused, 0U);
  // Nor does one that has gone on since, wherever that was.
  expect_refused(gone_on(earlier.front(), 3, false), point, AnchorVerdict::forked, "went on");
}

TEST_P(AnchorCutTest, Invariant12RefusesAnotherImage) {
  const auto disk = new_disk(GetParam());
  const auto anchor = accepted(disk);
  expect_refused(new_disk(GetParam())->durable(), *anchor->point(), AnchorVerdict::another_image,
                 "other");
}

TEST_P(AnchorCutTest, WhatWasAcceptedIsTheOnlyBranchFromThenOn) {
  const auto disk = new_disk(GetParam());
  const auto anchor = accepted(disk);
  const Content before = disk->durable();
  {
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk), anchored(anchor));
    ASSERT_OK(store);
    ASSERT_OK((*store)->write("a", content(1)));
    (void)(*store)->abandon();
  }
  const Content after = disk->durable();
  expect_refused(before, *anchor->point(), AnchorVerdict::rolled_back, "before");
  // The operator goes back to the older one.
  const auto restored = std::make_shared<SimulatedDisk>(before);
  std::optional<AnchorComparison> told;
  ASSERT_OK(accept_anchor(
      std::make_unique<SimulatedDevice>(restored), anchor,
      [&](BlockDevice&, const AnchorComparison& found) {
        told = found;
        EXPECT_EQ(restored->count(OperationKind::write_durable), 0U);
        return Status{};
      },
      deterministic_options().keys));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->verdict, AnchorVerdict::rolled_back);
  const auto store = Store::open(std::make_unique<SimulatedDevice>(restored), anchored(anchor));
  ASSERT_OK(store);
  EXPECT_EQ((*store)->read("a").value(), Content());
  ASSERT_OK((*store)->close());
  const AnchorPoint point = *anchor->point();
  const auto found =
      compare_with_anchor(std::make_unique<SimulatedDevice>(std::make_shared<SimulatedDisk>(after)),
                          *anchor, deterministic_options().keys);
  ASSERT_OK(found);
  expect_refused(after, point, found->verdict, "after");
  EXPECT_TRUE(found->verdict == AnchorVerdict::forked ||
              found->verdict == AnchorVerdict::rolled_back);
}

} // namespace
} // namespace vnvram::test
