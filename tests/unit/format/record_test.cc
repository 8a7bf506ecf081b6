// Records: what is built is read back, and what was changed is not.
#include <cstring>

#include <gtest/gtest.h>

#include "format/codec.h"
#include "format/record_builder.h"
#include "format/record_view.h"
#include "unit/format/example_image.h"

namespace vnvram::format {
namespace {

constexpr std::uint64_t space_bytes = 1 << 20;

Codec example_codec() {
  return Codec(example_superblock());
}

template <typename T> void put(std::vector<std::byte>& record, std::size_t at, T value) {
  std::memcpy(record.data() + at, &value, sizeof(value));
}

TEST(Record, EveryFlippedBitBehindTheLengthIsNoticed) {
  const std::vector<std::byte> record = example_record();
  const char* reason = nullptr;
  ASSERT_TRUE(RecordView::check(record, example_codec(), space_bytes, reason));
  for (std::size_t at = offsetof(RecordHeader, checksum); at < record.size(); ++at) {
    std::vector<std::byte> damaged = record;
    damaged[at] ^= std::byte{1};
    EXPECT_FALSE(RecordView::check(damaged, example_codec(), space_bytes, reason)) << at;
  }
}

TEST(Record, AnotherSaltDoesNotAcceptIt) {
  Superblock other = example_superblock();
  other.salt += 1;
  const char* reason = nullptr;
  EXPECT_FALSE(RecordView::check(example_record(), Codec(other), space_bytes, reason));
}

TEST(Record, ImpossibleFieldsWithARightChecksumAreRefused) {
  struct Lie {
    std::size_t at;
    std::uint32_t value;
  };
  const std::size_t extent = sizeof(RecordHeader);
  for (const Lie& lie :
       {Lie{offsetof(RecordHeader, extent_count), 3},
        Lie{offsetof(RecordHeader, extent_count), 0xffffffff},
        Lie{offsetof(RecordHeader, used_bytes), 50}, Lie{offsetof(RecordHeader, used_bytes), 5000},
        Lie{offsetof(RecordHeader, used_bytes), 0xffffffff}, Lie{offsetof(RecordHeader, nonce), 1},
        Lie{extent + offsetof(RecordExtent, length_bytes), 0},
        Lie{extent + offsetof(RecordExtent, length_bytes), 0xffffffff},
        Lie{extent + offsetof(RecordExtent, kind), 2},
        Lie{extent + offsetof(RecordExtent, kind), 1},
        Lie{extent + offsetof(RecordExtent, offset_bytes), space_bytes - 4},
        Lie{extent + offsetof(RecordExtent, offset_bytes) + 4, 0xffffffff}, Lie{4000, 1}}) {
    std::vector<std::byte> record = example_record();
    put(record, lie.at, lie.value);
    ASSERT_TRUE(example_codec().finish_record(record));
    const char* reason = nullptr;
    EXPECT_FALSE(RecordView::check(record, example_codec(), space_bytes, reason))
        << lie.at << " " << lie.value;
  }
}

TEST(Record, RollbackRemovesWhatWasAddedSince) {
  const auto finish = [](RecordBuilder& builder) {
    std::uint64_t sum = 0;
    const auto made = builder.finish({1, 2, 3, 4}, example_codec(), sum).value();
    return std::vector<std::byte>(made.begin(), made.end());
  };
  const std::array<std::byte, 4> four{};
  RecordBuilder builder;
  builder.add_bytes(100, four);
  const auto before = finish(builder);
  const auto mark = builder.mark();
  builder.add_bytes(104, four); // joined to the one before
  builder.add_zeros(5000, 10);
  EXPECT_NE(finish(builder), before);
  builder.rollback(mark);
  EXPECT_EQ(finish(builder), before);
}

TEST(Record, ThreeKilobytesOfChangesFitOneBlock) {
  const std::vector<std::byte> changes(3072, std::byte{7});
  const std::array<std::byte, 16> size_and_generation{};
  RecordBuilder builder;
  builder.add_bytes(4096, changes);
  builder.add_bytes(712, size_and_generation);
  EXPECT_EQ(builder.block_count(), 1U);
}

} // namespace
} // namespace vnvram::format
