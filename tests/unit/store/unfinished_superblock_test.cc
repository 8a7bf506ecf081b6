// What a cut can leave of a superblock's write is no damage, and a flipped bit is.
#include "store/unfinished_superblock.h"

#include <array>
#include <bit>
#include <cstring>

#include <gtest/gtest.h>

#include "format/codec.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

using format::Superblock;
using Raw = std::array<std::byte, block_size_bytes>;
constexpr std::size_t sector_size_bytes = 512;

/// As a clean close leaves it.
Superblock closed(std::uint64_t sequence, unsigned copy) {
  Superblock superblock{};
  superblock.sequence = sequence;
  superblock.salt = 0x1234;
  superblock.ring_block_count = 24;
  superblock.epoch_number = 3;
  superblock.epoch_random = 0x7a315ea2f63d208b;
  superblock.generation = 11;
  superblock.clean = 1;
  format::Codec(superblock).finish(superblock, copy);
  return superblock;
}

/// Of each sector the old or the new one.
Superblock torn(const Superblock& old, const Superblock& next, unsigned new_sectors) {
  auto raw = std::bit_cast<Raw>(old);
  const auto written = std::bit_cast<Raw>(next);
  for (std::size_t sector = 0; sector < raw.size() / sector_size_bytes; ++sector) {
    if (((new_sectors >> sector) & 1U) != 0) {
      std::memcpy(&raw[sector * sector_size_bytes], &written[sector * sector_size_bytes],
                  sector_size_bytes);
    }
  }
  return std::bit_cast<Superblock>(raw);
}

// Two sequences may differ by one bit.
TEST(UnfinishedSuperblock, NoTearOfACloseIsTakenForRot) {
  for (std::uint64_t sequence = 2; sequence < 40; ++sequence) {
    const Superblock current = closed(sequence, 0);
    for (unsigned new_sectors = 1; new_sectors < 255; ++new_sectors) {
      const Superblock found = torn(closed(sequence - 1, 1), closed(sequence + 1, 1), new_sectors);
      if (!format::Codec::proves(found)) {
        EXPECT_TRUE(may_be_unfinished(format::Codec(current), current, found))
            << sequence << ' ' << new_sectors;
      }
    }
  }
}

TEST(UnfinishedSuperblock, AFlippedBitIsRot) {
  Random random(5);
  for (int attempt = 0; attempt < 2000; ++attempt) {
    const Superblock current = closed(8, 0);
    auto raw = std::bit_cast<Raw>(closed(7, 1));
    const std::size_t byte = random.below(raw.size());
    raw[byte] ^= std::byte{1} << random.below(8);
    const auto found = std::bit_cast<Superblock>(raw);
    if (found.sequence == 7) { // Else it may be a tear.
      EXPECT_FALSE(may_be_unfinished(format::Codec(current), current, found)) << "byte " << byte;
    }
  }
}

} // namespace
} // namespace vnvram::test
