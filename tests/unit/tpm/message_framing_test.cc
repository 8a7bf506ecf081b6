#include "rpc/message_framing.h"

#include <gtest/gtest.h>

#include "support/bytes.h"

namespace vnvram::test {
namespace {

// Two messages: one segment of two words; three segments, of one word, none and one word.
const std::vector<std::byte> messages = from_hex("00000000 02000000"
                                                 "1111111111111111 2222222222222222"
                                                 "02000000 01000000 00000000 01000000"
                                                 "3333333333333333 4444444444444444");
constexpr std::size_t first_message_bytes = 24;

TEST(MessageFraming, KnowsWhereMessagesEndByteByByte) {
  MessageFraming framing;
  EXPECT_TRUE(framing.is_between_messages());
  for (std::size_t index = 0; index < messages.size(); ++index) {
    framing.take(std::span(messages).subspan(index, 1));
    const std::size_t taken = index + 1;
    EXPECT_EQ(framing.is_between_messages(),
              taken == first_message_bytes || taken == messages.size())
        << taken;
  }
}

TEST(MessageFraming, KnowsItWhateverThePieces) {
  for (std::size_t cut = 0; cut <= messages.size(); ++cut) {
    MessageFraming framing;
    framing.take(std::span(messages).first(cut));
    EXPECT_EQ(framing.is_between_messages(),
              cut == 0 || cut == first_message_bytes || cut == messages.size());
    framing.take(std::span(messages).subspan(cut));
    EXPECT_TRUE(framing.is_between_messages());
  }
}

TEST(MessageFraming, AMessageOfALaneIsOneOfOneSegment) {
  MessageFraming framing;
  const auto both = from_hex("00000080 02000000 1111111111111111 2222222222222222"
                             "00000000 01000000 3333333333333333");
  EXPECT_EQ(framing.take_message(both), 24U);
  EXPECT_TRUE(framing.is_between_messages());
  EXPECT_EQ(framing.take_message(std::span(both).subspan(24)), 16U);
  EXPECT_TRUE(framing.is_between_messages());
}

TEST(MessageFraming, NonsenseNeverEndsAndTakesNoMemory) {
  MessageFraming framing;
  framing.take(from_hex("ffffffff"));
  const std::vector<std::byte> more(1 << 20);
  framing.take(more);
  EXPECT_FALSE(framing.is_between_messages());
  MessageFraming large; // 512 segments of 32 GiB each: a length, no more.
  std::vector<std::byte> table(4 + 512 * 4 + 4, std::byte{0xff});
  table[0] = table[1] = std::byte{0};
  table[0] = std::byte{0xff};
  table[1] = std::byte{1};
  table[2] = table[3] = std::byte{0};
  large.take(table);
  large.take(more);
  EXPECT_FALSE(large.is_between_messages());
}

} // namespace
} // namespace vnvram::test
