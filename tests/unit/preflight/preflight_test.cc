// An image whose owner goes on while it is looked at.
#include "preflight/preflight.h"

#include <algorithm>
#include <limits>

#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

using Outcome = PreflightFinding::Outcome;

class BusyOwnerTest : public ::testing::Test {
protected:
  void SetUp() override {
    CreateOptions options;
    options.ring_size_bytes = 512 << 10U;
    options.blobs.push_back({.spec = spec("a", 1000)});
    // Its end is not read with the pages of the other one.
    options.blobs.push_back({.spec = spec("b", b_size_bytes), .content = pattern(b_size_bytes, 0)});
    ASSERT_OK(create_image_file(path_, 4 << 20U, options));
    auto device = open_device(path_, Access::read_write);
    ASSERT_OK(device);
    auto store = Store::open(*std::move(device), {.background = false});
    ASSERT_OK(store);
    store_ = *std::move(store);
    // In the middle of each reading. By the second one what the reading began with is written over,
    // with what was never there before: else the checksums that it knows would fit again.
    options_.progress = [this](std::uint64_t done_bytes, std::uint64_t /*all_bytes*/) {
      readings_ += done_bytes <= last_bytes_ ? 1 : 0;
      for (int checkpoint = 0; checkpoint < 2; ++checkpoint) {
        write_and_checkpoint();
      }
      last_bytes_ = done_bytes;
    };
  }

  static constexpr std::uint64_t b_size_bytes = 200 << 10U;

  void write_and_checkpoint() {
    ++seed_;
    EXPECT_OK(store_->write("a", pattern(500, seed_)));
    EXPECT_OK(store_->write_range("b", b_size_bytes - 1000, pattern(500, seed_)));
    EXPECT_OK(store_->checkpoint());
  }

  const TemporaryDirectory folder_;
  const std::string path_ = folder_.path("vm.nvram");
  std::unique_ptr<Store> store_;
  PreflightOptions options_;
  unsigned readings_ = 0;
  unsigned seed_ = 0;
  std::uint64_t last_bytes_ = std::numeric_limits<std::uint64_t>::max();
};

TEST_F(BusyOwnerTest, OfAMachineThatIsToComeItIsNoReason) {
  options_.incoming = true;
  const PreflightReport report = Preflight(path_, options_).run();
  EXPECT_EQ(report.first_reason(), nullptr);
  const auto content =
      std::ranges::find(report.findings, std::string("content"), &PreflightFinding::about);
  ASSERT_NE(content, report.findings.end());
  EXPECT_EQ(content->outcome, Outcome::unknown) << content->text;
  EXPECT_LE(readings_, 100U); // It is given up, and not read a thousand times.
}

TEST_F(BusyOwnerTest, OtherwiseTheOwnerIsTheReason) {
  const PreflightReport report = Preflight(path_, options_).run();
  ASSERT_NE(report.first_reason(), nullptr);
  EXPECT_EQ(report.first_reason()->kind(), ErrorKind::in_use);
}

// As every reading of it by `vnvram serve` would be.
TEST(PreflightTest, WhatMustBeKnownOfABlobIsAReason) {
  const TemporaryDirectory folder;
  const std::string path = folder.path("vm.nvram");
  BlobSpec variables = spec("vars", 1000);
  variables.type = "edk2.variables";
  variables.attributes.push_back({.name = "wrapped", .value = "yes", .must_know = true});
  CreateOptions options;
  options.blobs.push_back({.spec = variables});
  ASSERT_OK(create_image_file(path, 0, options));
  const PreflightReport report = Preflight(path, PreflightOptions()).run();
  ASSERT_NE(report.first_reason(), nullptr);
  EXPECT_EQ(report.first_reason()->kind(), ErrorKind::too_new);
}

} // namespace
} // namespace vnvram::test
