// Invariant 5: a damaged byte is noticed before it is returned. One flipped bit in every block of
// an image, and whole blocks that are lost, old, or somewhere else's.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "device/memory_device.h"
#include "support/random.h"
#include "support/sanitizers.h"

namespace vnvram::test {
namespace {

/// What came of opening a damaged image and reading all of it.
struct Outcome {
  bool opened = false;
  std::set<std::string> unreadable; ///< Blobs, each refused as corrupt.
  std::map<std::string, std::vector<std::byte>> read;
};

void read_all(const std::shared_ptr<MemoryDisk>& disk, Access access, Outcome& outcome) {
  OpenOptions options = deterministic_options();
  options.access = access;
  const auto store = Store::open(std::make_unique<MemoryDevice>(disk, access), options);
  if (!store) {
    EXPECT_TRUE(store.error().kind() == ErrorKind::corrupt) << store.error().text();
    return;
  }
  outcome.opened = true;
  for (const BlobInfo& info : (*store)->blobs()) {
    Result<std::vector<std::byte>> bytes = (*store)->read(info.name);
    if (bytes) {
      outcome.read[info.name] = std::move(*bytes);
    } else {
      EXPECT_EQ(bytes.error().kind(), ErrorKind::corrupt) << bytes.error().text();
      outcome.unreadable.insert(info.name);
    }
  }
}

/// Everything that was read is right, nothing is missing without an error, and check() says which
/// blobs are hit. The newest record is the exception: damage to it cannot be told from a commit
/// that was cut before it was acknowledged.
void expect_never_wrong(const ExampleImage& good, const std::vector<std::byte>& image,
                        const std::string& where) {
  std::set<std::string> named;
  const auto disk = std::make_shared<MemoryDisk>(image);
  MemoryDevice device(disk, Access::read_only);
  const Result<CheckReport> report = check_image(device, {}, deterministic_options().keys);
  bool check_lost = !report.ok();
  if (report) {
    for (const CheckProblem& problem : report->problems) {
      named.insert(problem.blobs.begin(), problem.blobs.end());
      check_lost = check_lost || problem.data_lost;
    }
  }
  for (const Access access : {Access::read_only, Access::read_write}) { // What writes comes last.
    Outcome outcome;
    read_all(disk, access, outcome);
    if (!outcome.opened) {
      EXPECT_TRUE(check_lost) << where << ": cannot be opened, and check does not say why";
      continue;
    }
    const StoreState& state = [&]() -> const StoreState& {
      for (const auto& [name, bytes] : outcome.read) {
        if (bytes != good.state.blobs().at(name).bytes) {
          return good.last_undone;
        }
      }
      return good.state;
    }();
    for (const auto& [name, blob] : state.blobs()) {
      if (outcome.unreadable.contains(name)) {
        EXPECT_TRUE(named.contains(name)) << where << ": check does not name " << name;
      } else {
        ASSERT_TRUE(outcome.read.contains(name)) << where << ": " << name << " has vanished";
        EXPECT_EQ(outcome.read.at(name) == blob.bytes, true)
            << where << ": wrong bytes of " << name;
      }
    }
  }
}

/// For the summary of what was tried (scripts/prove.py).
void record_faults(std::uint64_t count) {
  testing::Test::RecordProperty("faults", std::to_string(count));
}

void flip_a_bit_of_every_block(const ExampleImage& good, unsigned per_block) {
  record_faults(cases(good.bytes.size() / block_size_bytes) * per_block);
  Random random(1);
  std::vector<std::byte> image = good.bytes;
  for (std::uint64_t block = 0; block < image.size() / block_size_bytes; block += case_step) {
    for (unsigned i = 0; i < per_block; ++i) {
      const std::uint64_t byte = block * block_size_bytes + random.below(block_size_bytes);
      const std::byte bit{static_cast<unsigned char>(1U << random.below(8))};
      image.at(byte) ^= bit;
      expect_never_wrong(good, image, "bit of byte " + std::to_string(byte));
      image.at(byte) ^= bit;
    }
  }
}

/// Of plain images and of encrypted ones.
class BitRotTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Images, BitRotTest, testing::Bool(),
                         [](const auto& image) { return image.param ? "encrypted" : "plain"; });

TEST_P(BitRotTest, Invariant5HoldsForEveryBlockOfAClosedImage) {
  flip_a_bit_of_every_block(closed_image(GetParam()), 4);
}

TEST_P(BitRotTest, Invariant5HoldsForEveryBlockOfAnInterruptedImage) {
  flip_a_bit_of_every_block(interrupted_image(GetParam()), 4);
}

TEST_P(BitRotTest, Invariant5HoldsForAnImageThatDoesNotFitTheCache) {
  flip_a_bit_of_every_block(large_image(GetParam()), 1);
}

TEST_P(BitRotTest, Invariant5HoldsForEveryByteOfASuperblock) {
  const ExampleImage good = interrupted_image(GetParam());
  std::vector<std::byte> image = good.bytes;
  constexpr std::uint64_t step = 7 * case_step;
  record_faults(2 * block_size_bytes / step + 1);
  for (std::uint64_t byte = 0; byte < 2 * block_size_bytes; byte += step) {
    image.at(byte) ^= std::byte{0x10};
    expect_never_wrong(good, image, "byte " + std::to_string(byte));
    image.at(byte) ^= std::byte{0x10};
  }
}

TEST_P(BitRotTest, Invariant5HoldsForBlocksThatAreLostOrMisplaced) {
  std::uint64_t faults = 0;
  for (const ExampleImage& good : {closed_image(GetParam()), interrupted_image(GetParam())}) {
    const std::uint64_t blocks = good.bytes.size() / block_size_bytes;
    for (std::uint64_t block = 2; block < blocks; ++block) {
      std::vector<std::byte> image = good.bytes;
      const auto at = image.begin() + static_cast<std::ptrdiff_t>(block * block_size_bytes);
      std::fill_n(at, block_size_bytes, std::byte{0});
      expect_never_wrong(good, image, "zeroed block " + std::to_string(block));
      // What belongs to the next block but one, as after a misdirected write.
      const std::uint64_t other = (block + 2) % blocks;
      std::copy_n(good.bytes.begin() + static_cast<std::ptrdiff_t>(other * block_size_bytes),
                  block_size_bytes, at);
      expect_never_wrong(good, image, "misplaced block " + std::to_string(block));
      faults += 2;
    }
  }
  record_faults(faults);
}

TEST_P(BitRotTest, CheckFindsNothingInGoodImages) {
  for (const ExampleImage& good :
       {closed_image(GetParam()), interrupted_image(GetParam()), large_image(GetParam())}) {
    MemoryDevice device(std::make_shared<MemoryDisk>(good.bytes), Access::read_only);
    const Result<CheckReport> report = check_image(device, {}, deterministic_options().keys);
    ASSERT_TRUE(report.ok()) << report.error().text();
    EXPECT_TRUE(report->clean()) << report->problems.front().place << ": "
                                 << report->problems.front().what;
    EXPECT_EQ(report->blobs_checked, good.state.blobs().size());
  }
}

} // namespace
} // namespace vnvram::test
