// The header area's two copies: whatever a cut leaves is the old content or the new one.
#include "keys/header_area.h"

#include <algorithm>
#include <memory>

#include <gtest/gtest.h>

#include "device/memory_device.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/random.h"
#include "support/simulated_device.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

using format::HeaderContent;
using format::HeaderPart;

constexpr std::size_t device_bytes = 18 * block_size_bytes;
constexpr std::size_t copy_0_at = 10 * block_size_bytes;
constexpr std::size_t copy_1_at = 14 * block_size_bytes;
constexpr Uuid some_uuid = {std::byte{1}, std::byte{2}};

HeaderContent content_of(std::uint64_t seed, std::size_t size_bytes) {
  return {.entry_count = static_cast<std::uint32_t>(seed),
          .entries = Random(seed).bytes(size_bytes)};
}

HeaderArea area_on(BlockDevice& device) {
  return {device, HeaderPart::metadata, some_uuid};
}

Result<HeaderContent> content_on(const Bytes& bytes) {
  MemoryDevice device(std::make_shared<MemoryDisk>(bytes));
  return area_on(device).read();
}

/// What a device holds once these were written, one after the other.
Bytes bytes_with(const std::vector<HeaderContent>& contents) {
  const auto disk = std::make_shared<MemoryDisk>(device_bytes);
  MemoryDevice device(disk);
  for (const HeaderContent& content : contents) {
    EXPECT_OK(area_on(device).write(content));
  }
  return disk->bytes();
}

Bytes with_rot(Bytes bytes, std::size_t at) {
  bytes.at(at) ^= std::byte{0x10};
  return bytes;
}

TEST(HeaderAreaTest, NothingIsThereAtFirst) {
  const auto content = content_on(Bytes(device_bytes));
  ASSERT_OK(content);
  EXPECT_EQ(*content, HeaderContent{});
}

TEST(HeaderAreaTest, BothCopiesSayWhatWasWritten) {
  const HeaderContent second = content_of(2, 9000);
  const Bytes bytes = bytes_with({content_of(1, 3), second});
  for (const Bytes& damaged :
       {bytes, with_rot(bytes, copy_0_at + 100), with_rot(bytes, copy_1_at + 9000)}) {
    const auto content = content_on(damaged);
    ASSERT_OK(content);
    EXPECT_EQ(*content, second);
  }
  EXPECT_KIND(content_on(with_rot(with_rot(bytes, copy_0_at), copy_1_at)), corrupt);
}

TEST(HeaderAreaTest, ADamagedCopyIsMadeAgainByTheNextWrite) {
  for (const std::size_t rot : {copy_0_at, copy_1_at}) {
    const auto disk = std::make_shared<MemoryDisk>(with_rot(bytes_with({content_of(1, 70)}), rot));
    MemoryDevice device(disk);
    ASSERT_OK(area_on(device).write(content_of(2, 80)));
    for (const std::size_t other_rot : {copy_0_at, copy_1_at}) {
      const auto content = content_on(with_rot(disk->bytes(), other_rot));
      ASSERT_OK(content);
      EXPECT_EQ(*content, content_of(2, 80));
    }
  }
}

TEST(HeaderAreaTest, ItTellsWhenOneCopyIsAllThatThereIs) {
  const auto weakness_of = [](const Bytes& bytes) {
    MemoryDevice device(std::make_shared<MemoryDisk>(bytes));
    const auto weakness = area_on(device).look();
    EXPECT_TRUE(weakness.ok());
    return weakness ? weakness->damage : weakness.error().text();
  };
  const Bytes before = bytes_with({content_of(1, 70)});
  Bytes after = bytes_with({content_of(1, 70), content_of(2, 70)});
  EXPECT_EQ(weakness_of(Bytes(device_bytes)), "");
  EXPECT_EQ(weakness_of(after), "");
  EXPECT_EQ(weakness_of(with_rot(after, copy_1_at + 64)), "copy 1: checksum mismatch");
  // A cut between the two writes.
  std::copy(before.begin() + copy_0_at, before.begin() + copy_1_at, after.begin() + copy_0_at);
  EXPECT_EQ(weakness_of(after), "copy 0: it says something older");
  std::fill(after.begin() + copy_0_at, after.begin() + copy_1_at, std::byte{0});
  EXPECT_EQ(weakness_of(after), "copy 0: all zero");
}

// A disk that tears inside a sector leaves this of the first write, and the next one makes it anew.
TEST(HeaderAreaTest, ItTellsWhatACutFirstWriteHasLeft) {
  Bytes bytes(device_bytes);
  bytes.at(copy_0_at + 3) = std::byte{0x10};
  MemoryDevice device(std::make_shared<MemoryDisk>(bytes));
  const auto found = area_on(device).look();
  ASSERT_OK(found);
  EXPECT_TRUE(found->is_empty && found->is_unfinished && !found->is_zero && !found->is_lost);
  EXPECT_NE(found->damage, "");
  EXPECT_EQ(found->mendable, 0U);
  EXPECT_EQ(found->mended, Bytes(format::header_copy_size_bytes));
}

TEST(HeaderAreaTest, DamageIsNotWrittenOver) {
  const Bytes bytes = with_rot(with_rot(bytes_with({content_of(1, 70)}), copy_0_at), copy_1_at);
  const auto disk = std::make_shared<MemoryDisk>(bytes);
  MemoryDevice device(disk);
  EXPECT_KIND(area_on(device).write(content_of(2, 80)), corrupt);
  EXPECT_EQ(disk->bytes(), bytes);
}

TEST(HeaderAreaTest, TwoCopiesOfOneSequenceAreDamage) {
  Bytes bytes(device_bytes);
  for (unsigned copy = 0; copy < 2; ++copy) {
    const Bytes composed = format::compose_header_copy(
        {.part = HeaderPart::metadata, .copy = copy, .uuid = some_uuid}, 5, content_of(copy, 9));
    std::ranges::copy(composed, bytes.begin() +
                                    static_cast<std::ptrdiff_t>(copy == 0 ? copy_0_at : copy_1_at));
  }
  EXPECT_KIND(content_on(bytes), corrupt);
}

TEST(HeaderAreaTest, AtTheEndOfItsSequencesNothingIsWritten) {
  Bytes bytes(device_bytes);
  const Bytes composed =
      format::compose_header_copy({.part = HeaderPart::metadata, .copy = 0, .uuid = some_uuid},
                                  format::counter_max - 1, content_of(1, 9));
  std::ranges::copy(composed, bytes.begin() + copy_0_at);
  const auto disk = std::make_shared<MemoryDisk>(bytes);
  MemoryDevice device(disk);
  EXPECT_KIND(area_on(device).write(content_of(2, 80)), corrupt);
  EXPECT_EQ(disk->bytes(), bytes);
}

/// What may be there after a cut in the middle of write(): each is read, and then written over.
class CutWrite {
public:
  CutWrite(const Bytes& before, HeaderContent old_content, HeaderContent new_content)
      : disk_(std::make_shared<SimulatedDisk>(before)), old_(std::move(old_content)),
        new_(std::move(new_content)) {
    disk_->set_hook([this](const SimulatedOperation& operation) {
      if (operation.kind != OperationKind::read) {
        examine(CrashState(*disk_, &operation));
      }
    });
    SimulatedDevice device(disk_);
    EXPECT_OK(area_on(device).write(new_));
  }

  [[nodiscard]] int images() const { return images_; }

private:
  static constexpr std::uint64_t exhaustive = 256;
  static constexpr std::uint64_t samples = 64;

  void examine(const CrashState& state) {
    const std::uint64_t count = state.choice_count(exhaustive);
    for (std::uint64_t number = 0; number < (count == 0 ? samples : count); ++number) {
      expect_old_or_new(state.power_cut({.number = number}, exhaustive));
    }
    for (std::uint64_t number = 0; number < samples; ++number) {
      expect_old_or_new(state.power_cut({.number = number, .torn = true}, exhaustive));
    }
    // The process has died, the next one writes, and then the power is cut.
    const auto left = state.process_death(3);
    SimulatedDevice device(left);
    const auto content = area_on(device).read();
    ASSERT_OK(content);
    EXPECT_TRUE(*content == old_ || *content == new_);
  }

  void expect_old_or_new(const Bytes& bytes) {
    ++images_;
    const auto content = content_on(bytes);
    ASSERT_OK(content);
    EXPECT_TRUE(*content == old_ || *content == new_);
    const HeaderContent third = content_of(33, 50);
    const auto disk = std::make_shared<MemoryDisk>(bytes);
    MemoryDevice device(disk);
    ASSERT_OK(area_on(device).write(third));
    const auto after = content_on(with_rot(disk->bytes(), copy_0_at));
    ASSERT_OK(after);
    EXPECT_EQ(*after, third);
  }

  std::shared_ptr<SimulatedDisk> disk_;
  HeaderContent old_;
  HeaderContent new_;
  int images_ = 0;
};

TEST(HeaderAreaTest, ACutLeavesTheOldOrTheNew) {
  const HeaderContent old_content = content_of(1, 9000);
  const HeaderContent new_content = content_of(2, 12000);
  EXPECT_GT(CutWrite(bytes_with({old_content}), old_content, new_content).images(), 100);
  // The other copy's turn, and one that a cut has left behind.
  const Bytes twice = bytes_with({content_of(5, 9000), old_content});
  EXPECT_GT(CutWrite(twice, old_content, new_content).images(), 100);
  EXPECT_GT(CutWrite(with_rot(twice, copy_1_at), old_content, new_content).images(), 100);
  EXPECT_GT(CutWrite(with_rot(twice, copy_0_at), old_content, new_content).images(), 100);
}

TEST(HeaderAreaTest, ACutOfTheFirstWriteLeavesNothingOrTheNew) {
  EXPECT_GT(CutWrite(Bytes(device_bytes), {}, content_of(2, 12000)).images(), 100);
}

// What a process that has died left in the cache only is made durable before it is relied on.
TEST(HeaderAreaTest, WhatIsInACacheOnlyIsNotReliedOn) {
  const HeaderContent old_content = content_of(1, 9000);
  const HeaderContent new_content = content_of(2, 9000);
  const Bytes before = bytes_with({old_content});
  const Bytes after = bytes_with({old_content, new_content});
  // Copy 0 was torn by the dead process; copy 1 is durable as it was, and newer in the cache.
  PendingSectors pending;
  for (std::size_t at = copy_0_at; at < device_bytes; at += sector_size_bytes) {
    Sector sector{};
    std::ranges::copy_n(after.begin() + static_cast<std::ptrdiff_t>(at), sector_size_bytes,
                        sector.begin());
    pending[at / sector_size_bytes].push_back(sector);
  }
  const auto disk = std::make_shared<SimulatedDisk>(before, pending);
  bool flushed = false;
  disk->set_hook([&](const SimulatedOperation& operation) {
    flushed = flushed || operation.kind == OperationKind::flush;
    if (operation.kind == OperationKind::write_durable) {
      EXPECT_TRUE(flushed);
    }
  });
  SimulatedDevice device(disk);
  ASSERT_OK(area_on(device).write(content_of(3, 100)));
  EXPECT_TRUE(flushed);
}

// Both copies change under a reader that is slower than the writer.
TEST(HeaderAreaTest, AReaderBesideAWriterIsNotToldOfDamage) {
  const Bytes before = bytes_with({content_of(1, 9000)});
  const Bytes after = bytes_with({content_of(1, 9000), content_of(2, 9000)});
  const auto disk =
      std::make_shared<SimulatedDisk>(with_rot(with_rot(before, copy_0_at + 64), copy_1_at + 64));
  int reads = 0;
  disk->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read && ++reads == 3) {
      disk->replace(after);
    }
  });
  SimulatedDevice device(disk, Access::read_only);
  const auto content = area_on(device).read();
  ASSERT_OK(content);
  EXPECT_EQ(*content, content_of(2, 9000));
}

TEST(HeaderAreaTest, AFailedWriteIsReported) {
  for (const std::uint64_t count : {1U, 2U}) {
    const auto disk = std::make_shared<SimulatedDisk>(bytes_with({content_of(1, 70)}));
    SimulatedDevice device(disk);
    disk->fail(OperationKind::write_durable, count);
    EXPECT_KIND(area_on(device).write(content_of(2, 80)), io);
    const auto content = content_on(disk->durable());
    ASSERT_OK(content);
    EXPECT_EQ(*content, content_of(count == 1 ? 1 : 2, count == 1 ? 70 : 80));
  }
}

} // namespace
} // namespace vnvram::test
