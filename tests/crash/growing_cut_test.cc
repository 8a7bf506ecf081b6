// An image that grows by itself, cut at every operation: it opens, at one size, and grows again.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "device/memory_device.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/random.h"
#include "support/sanitizers.h"
#include "support/simulated_device.h"
#include "vnvram/rescue.h"

namespace vnvram::test {
namespace {

using Image = std::vector<std::byte>;

constexpr std::uint64_t short_image_size_bytes = std::uint64_t{320} << 10U;
constexpr std::uint64_t grown_image_size_bytes = std::uint64_t{512} << 10U;

struct Kind {
  std::string name;
  bool encrypted = false;
  /// The device is as long already: somebody has lengthened it.
  bool longer_device = false;
};

class GrowingCut : public ::testing::TestWithParam<Kind> {
protected:
  void SetUp() override {
    auto disk = std::make_shared<MemoryDisk>(short_image_size_bytes);
    CreateOptions create;
    create.ring_size_bytes = std::uint64_t{64} << 10U;
    create.blobs = {
        {.spec = {.name = "a", .type = "test", .size_max_bytes = 9000}, .content = content_}};
    if (GetParam().encrypted) {
      create.data_key = data_key();
    }
    MemoryDevice device(disk);
    ASSERT_OK(create_image(device, create));
    if (GetParam().longer_device) {
      disk->bytes().resize(grown_image_size_bytes);
    }
    disk_ = std::make_shared<SimulatedDisk>(disk->bytes());
  }
  [[nodiscard]] static OpenOptions growing() {
    OpenOptions options = deterministic_options();
    options.grow_max_bytes = grown_image_size_bytes;
    return options;
  }
  static Status register_large(Store& store) {
    // Two of them would fit the image as it is.
    return store.register_blobs(
        std::vector<BlobSpec>{{.name = "b", .type = "test", .size_max_bytes = 24000},
                              {.name = "c", .type = "test", .size_max_bytes = 24000},
                              {.name = "d", .type = "test", .size_max_bytes = 24000}});
  }
  static Result<std::unique_ptr<Store>> open(const std::shared_ptr<MemoryDisk>& disk,
                                             OpenOptions options) {
    auto device = std::make_unique<MemoryDevice>(disk, options.access);
    return Store::open(std::move(device), std::move(options));
  }

  /// What was acknowledged is there; and it goes on as if nothing had been.
  void judge(const Image& image) {
    const auto disk = std::make_shared<MemoryDisk>(image);
    OpenOptions reading = deterministic_options();
    reading.access = Access::read_only;
    const auto looked = open(disk, reading);
    ASSERT_OK(looked);
    const std::uint64_t size_bytes = (*looked)->info().image_size_bytes;
    EXPECT_LE(size_bytes, image.size());
    ++(size_bytes == short_image_size_bytes ? short_count_ : grown_count_);
    EXPECT_TRUE(!acknowledged_ || size_bytes > short_image_size_bytes);
    auto store = open(disk, growing());
    ASSERT_OK(store);
    EXPECT_EQ((*store)->info().image_size_bytes, size_bytes) << "one of two truths";
    EXPECT_EQ(*(*store)->read("a"), content_);
    EXPECT_EQ((*store)->blob("b").ok(), (*store)->blob("c").ok());
    EXPECT_TRUE(!acknowledged_ || (*store)->blob("c").ok());
    ASSERT_OK(register_large(**store));
    ASSERT_OK((*store)->write("c", content_));
    EXPECT_EQ((*store)->info().image_size_bytes, disk->bytes().size());
    ASSERT_OK((*store)->close());
    MemoryDevice device(disk, Access::read_only);
    const auto report = check_image(device, {}, growing().keys);
    ASSERT_OK(report);
    EXPECT_TRUE(report->clean() && report->notes.empty());
  }

  /// A third superblock that is taken for the image's tells of no time before.
  void judge_by_third(Image image) {
    std::fill_n(image.begin(), 2 * block_size_bytes, std::byte{0});
    const auto disk = std::make_shared<MemoryDisk>(std::move(image));
    MemoryDevice device(disk);
    const auto repaired = repair_image(device, false, {}, growing().keys);
    if (!repaired || !repaired->sound) {
      return;
    }
    ++found_by_third_;
    const auto store = open(disk, growing());
    ASSERT_OK(store);
    EXPECT_EQ(*(*store)->read("a"), content_);
    EXPECT_TRUE(!acknowledged_ || (*store)->blob("c").ok());
  }

  const Image content_ = Random(3).bytes(9000);
  std::shared_ptr<SimulatedDisk> disk_;
  bool acknowledged_ = false;
  unsigned short_count_ = 0;
  unsigned grown_count_ = 0;
  unsigned found_by_third_ = 0;
};

TEST_P(GrowingCut, ItOpensAtOneSizeAndGrowsAgain) {
  const auto examine = [&](const SimulatedOperation* in_flight) {
    const CrashState state(*disk_, in_flight);
    for (std::uint64_t choice = 0; choice < 12; choice += case_step) {
      const Image image =
          state.power_cut({.number = choice / 2, .torn = choice % 2 == 1 && choice > 2}, 8);
      judge(image);
      judge_by_third(image);
    }
  };
  {
    const auto store = Store::open(std::make_unique<SimulatedDevice>(disk_), growing());
    ASSERT_OK(store);
    disk_->set_hook([&](const SimulatedOperation& in_flight) {
      SCOPED_TRACE(in_flight.number);
      if (in_flight.kind != OperationKind::read && !HasFailure()) {
        examine(&in_flight);
      }
    });
    ASSERT_OK(register_large(**store));
    EXPECT_EQ((*store)->info().image_size_bytes, grown_image_size_bytes);
    acknowledged_ = true;
    ASSERT_OK((*store)->write("b", content_));
    ASSERT_OK((*store)->close());
  }
  disk_->set_hook({});
  examine(nullptr);
  EXPECT_GE(short_count_, cases(12));
  EXPECT_GE(grown_count_, cases(12));
  EXPECT_GE(found_by_third_, 1U);
}

// With every operation of it failing once: either nothing has changed, or the store says that it
// is not usable, and the image is whole.
TEST_P(GrowingCut, WhateverFailsTheImageIsWhole) {
  const Image before = disk_->durable();
  for (const OperationKind kind : {OperationKind::resize, OperationKind::write,
                                   OperationKind::write_durable, OperationKind::flush}) {
    for (std::uint64_t count = 1;; ++count) {
      disk_ = std::make_shared<SimulatedDisk>(before);
      auto store = Store::open(std::make_unique<SimulatedDevice>(disk_), growing());
      ASSERT_OK(store);
      disk_->fail(kind, count);
      const Status registered = register_large(**store);
      if (!disk_->failed()) {
        EXPECT_OK(registered);
        break;
      }
      if (!registered && !(*store)->info().poisoned) {
        EXPECT_EQ(registered.error().kind(), ErrorKind::no_space);
        EXPECT_OK((*store)->write("a", content_));
      }
      acknowledged_ = registered.ok();
      store->reset();
      judge(disk_->durable());
      ASSERT_FALSE(HasFailure()) << static_cast<int>(kind) << ", " << count;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GrowingCut,
                         ::testing::Values(Kind{.name = "Plain"},
                                           Kind{.name = "Encrypted", .encrypted = true},
                                           Kind{.name = "LongerDevice", .longer_device = true},
                                           Kind{.name = "EncryptedLongerDevice",
                                                .encrypted = true,
                                                .longer_device = true}),
                         [](const auto& given) { return given.param.name; });

} // namespace
} // namespace vnvram::test
