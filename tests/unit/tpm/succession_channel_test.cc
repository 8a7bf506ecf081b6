#include "tpm/succession_channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/descriptor_passing.h"

namespace vnvram::test {
namespace {

using Word = SuccessionChannel::Word;

class SuccessionChannelTest : public testing::Test {
protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    predecessor_.emplace(UniqueFd(ends[0]));
    successor_.emplace(UniqueFd(ends[1]));
  }

  std::optional<SuccessionChannel> predecessor_;
  std::optional<SuccessionChannel> successor_;
};

TEST_F(SuccessionChannelTest, WordsAreHeardInTheirOrder) {
  ASSERT_TRUE(successor_->say(Word::ready).ok());
  ASSERT_TRUE(successor_->say(Word::taken).ok());
  EXPECT_TRUE(predecessor_->hear(Word::ready).ok());
  EXPECT_EQ(predecessor_->hear(Word::mine).error().kind(), ErrorKind::io);
}

TEST_F(SuccessionChannelTest, SocketsAndBytesComeAcross) {
  std::vector<std::byte> bytes(3U << 20U);
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    bytes[index] = static_cast<std::byte>(index % 251);
  }
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd in(ends[0]);
  const UniqueFd out(ends[1]);
  Status passed;
  std::jthread passes([&] { passed = predecessor_->pass(std::array{out.get(), in.get()}, bytes); });
  const Result<SuccessionChannel::Passed> taken = successor_->take();
  passes.join();
  ASSERT_TRUE(passed.ok());
  ASSERT_TRUE(taken.ok()) << taken.error().text();
  EXPECT_EQ(taken->bytes.get(), bytes);
  ASSERT_EQ(taken->sockets.size(), 2U);
  ASSERT_EQ(::write(taken->sockets[0].get(), "x", 1), 1);
  char read = 0;
  EXPECT_EQ(::read(taken->sockets[1].get(), &read, 1), 1);
  EXPECT_EQ(read, 'x');
}

// The word that the other one goes on must not be lost, whatever it has left unread: who takes it
// for dead would go on as well.
TEST_F(SuccessionChannelTest, TheLastWordOfOneThatHasGoneIsHeard) {
  ASSERT_TRUE(successor_->say(Word::taken).ok());
  ASSERT_TRUE(predecessor_->say(Word::back).ok());
  predecessor_.reset(); // With `taken` unread.
  EXPECT_EQ(successor_->hear(Word::yours).error().kind(), ErrorKind::stale);
  EXPECT_EQ(successor_->hear(Word::yours).error().kind(), ErrorKind::absent);
}

TEST_F(SuccessionChannelTest, OneThatHasGoneWithoutAWordIsAbsent) {
  ASSERT_TRUE(successor_->say(Word::taken).ok());
  predecessor_.reset();
  EXPECT_EQ(successor_->hear(Word::yours).error().kind(), ErrorKind::absent);
  EXPECT_EQ(successor_->say(Word::mine).error().kind(), ErrorKind::io);
}

TEST_F(SuccessionChannelTest, NoTpmWithoutItsEnd) {
  ASSERT_TRUE(pass_text(predecessor_->fd(), "psome of it").ok());
  predecessor_.reset();
  EXPECT_EQ(successor_->take().error().kind(), ErrorKind::absent);
}

TEST_F(SuccessionChannelTest, InTheTpmsPlaceTheWordThatTheOtherGoesOn) {
  ASSERT_TRUE(pass_text(predecessor_->fd(), "psome of it").ok());
  ASSERT_TRUE(predecessor_->say(Word::back).ok());
  EXPECT_EQ(successor_->take().error().kind(), ErrorKind::stale);
}

TEST_F(SuccessionChannelTest, TooMuchIsRefused) {
  std::jthread floods([channel = predecessor_->fd()] {
    const std::string piece(passed_text_max_bytes, 'p');
    while (::send(channel, piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  EXPECT_EQ(successor_->take().error().kind(), ErrorKind::too_large);
  successor_.reset();
}

TEST_F(SuccessionChannelTest, WhatBelongsNowhereIsRefused) {
  for (const char* text : {"f", "x", "rr", "y"}) { // "f" is without its socket.
    ASSERT_TRUE(pass_text(predecessor_->fd(), text).ok());
    EXPECT_EQ(successor_->take().error().kind(), ErrorKind::io) << text;
  }
}

} // namespace
} // namespace vnvram::test
