// The frame of the header area's copies: what it holds comes back, and nothing else is taken for
// one.
#include "format/header_copy.h"

#include <gtest/gtest.h>

namespace vnvram::format {
namespace {

using CopyBytes = std::span<const std::byte, header_copy_size_bytes>;

HeaderPlace place_of_copy_1() {
  HeaderPlace place{.part = HeaderPart::metadata, .copy = 1, .uuid = {}};
  place.uuid.fill(std::byte{7});
  return place;
}

HeaderContent three_bytes() {
  return {.entry_count = 1, .entries = {std::byte{1}, std::byte{2}, std::byte{3}}};
}

HeaderCopyState state_of(const HeaderPlace& place, const std::vector<std::byte>& bytes) {
  return check_header_copy(place, CopyBytes(bytes)).state;
}

TEST(HeaderCopyTest, TheirPlaces) {
  EXPECT_EQ(start_blocks_of(HeaderPart::key_slots), (HeaderCopyBlocks{2, 6}));
  EXPECT_EQ(start_blocks_of(HeaderPart::metadata), (HeaderCopyBlocks{10, 14}));
}

TEST(HeaderCopyTest, WhatItHoldsComesBack) {
  for (const std::size_t size_bytes : {std::size_t{0}, std::size_t{3}, header_content_max_bytes}) {
    const HeaderContent content{.entry_count = 9,
                                .entries = std::vector<std::byte>(size_bytes, std::byte{0xaa})};
    const auto bytes = compose_header_copy(place_of_copy_1(), 5, content);
    ASSERT_EQ(bytes.size(), header_copy_size_bytes);
    const CheckedHeaderCopy checked = check_header_copy(place_of_copy_1(), CopyBytes(bytes));
    EXPECT_EQ(checked.state, HeaderCopyState::valid) << checked.reason;
    EXPECT_EQ(checked.sequence, 5U);
    EXPECT_EQ(checked.content, content);
  }
}

TEST(HeaderCopyTest, ZerosHoldNothing) {
  EXPECT_EQ(state_of(place_of_copy_1(), std::vector<std::byte>(header_copy_size_bytes)),
            HeaderCopyState::zero);
}

TEST(HeaderCopyTest, EveryFlippedBitIsRefused) {
  auto bytes = compose_header_copy(place_of_copy_1(), 5, three_bytes());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const auto bit = std::byte{1} << at % 8;
    bytes[at] ^= bit;
    ASSERT_EQ(state_of(place_of_copy_1(), bytes), HeaderCopyState::damaged) << at;
    bytes[at] ^= bit;
  }
}

TEST(HeaderCopyTest, AnEmptyOneIsInOneSector) {
  const auto bytes = compose_header_copy(place_of_copy_1(), 1, {});
  EXPECT_EQ(std::vector<std::byte>(bytes.begin() + 512, bytes.end()),
            std::vector<std::byte>(header_copy_size_bytes - 512));
}

TEST(HeaderCopyTest, AnothersIsRefused) {
  const auto bytes = compose_header_copy(place_of_copy_1(), 5, three_bytes());
  HeaderPlace place = place_of_copy_1();
  place.copy = 0;
  EXPECT_EQ(state_of(place, bytes), HeaderCopyState::damaged);
  place = place_of_copy_1();
  place.part = HeaderPart::key_slots;
  EXPECT_EQ(state_of(place, bytes), HeaderCopyState::damaged);
  EXPECT_TRUE(has_header_magic(HeaderPart::metadata, CopyBytes(bytes)));
  EXPECT_FALSE(has_header_magic(HeaderPart::key_slots, CopyBytes(bytes)));
  place = place_of_copy_1();
  place.uuid[0] = std::byte{8};
  EXPECT_EQ(state_of(place, bytes), HeaderCopyState::damaged);
}

TEST(HeaderCopyTest, ASequenceThatCannotBeIsRefused) {
  EXPECT_EQ(state_of(place_of_copy_1(), compose_header_copy(place_of_copy_1(), 0, three_bytes())),
            HeaderCopyState::damaged);
  EXPECT_EQ(state_of(place_of_copy_1(),
                     compose_header_copy(place_of_copy_1(), counter_max + 1, three_bytes())),
            HeaderCopyState::damaged);
  EXPECT_EQ(state_of(place_of_copy_1(), compose_header_copy(place_of_copy_1(), counter_max, {})),
            HeaderCopyState::valid);
}

} // namespace
} // namespace vnvram::format
