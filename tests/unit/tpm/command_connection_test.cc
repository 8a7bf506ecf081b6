#include "tpm/command_connection.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "support/bytes.h"

namespace vnvram::test {
namespace {

constexpr std::size_t command_max_bytes = 5000; // Whatever libtpms says.
constexpr std::string_view get_random = "8001 0000000c 0000017b 0008";

class CommandConnectionTest : public testing::Test {
protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    peer_ = UniqueFd(ends[0]);
    connection_.emplace(UniqueFd(ends[1]), true, command_max_bytes);
  }

  void send(std::span<const std::byte> bytes) const {
    ASSERT_EQ(::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Sends, and lets the connection take it.
  void deliver(std::string_view hex) {
    send(from_hex(hex));
    ASSERT_TRUE(connection_->receive());
  }
  [[nodiscard]] std::string received() const {
    std::vector<std::byte> bytes(65536);
    const ssize_t size = ::recv(peer_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return to_hex(bytes);
  }

  UniqueFd peer_;
  std::optional<CommandConnection> connection_;
};

TEST_F(CommandConnectionTest, OneCommand) {
  deliver(get_random);
  const auto command = connection_->next();
  ASSERT_TRUE(command);
  EXPECT_EQ(to_hex(command->bytes), "80010000000c0000017b0008");
  EXPECT_FALSE(command->with_head);
  EXPECT_FALSE(connection_->next());
  ASSERT_TRUE(connection_->respond(*command, from_hex("800100")));
  EXPECT_EQ(received(), "800100");
}

TEST_F(CommandConnectionTest, PiecesAndSeveralAtOnce) {
  deliver("80");
  EXPECT_FALSE(connection_->next());
  deliver("01 0000000c 0000");
  EXPECT_FALSE(connection_->next());
  deliver("017b 0008 8001 0000000a 00000181 8001");
  ASSERT_EQ(to_hex(connection_->next()->bytes), "80010000000c0000017b0008");
  ASSERT_EQ(to_hex(connection_->next()->bytes), "80010000000a00000181");
  EXPECT_FALSE(connection_->next());
  deliver("0000000a 00000182");
  ASSERT_EQ(to_hex(connection_->next()->bytes), "80010000000a00000182");
}

TEST_F(CommandConnectionTest, HeadInFront) {
  deliver("00000008 03 0000000c 8001 0000000c 0000017b 0008");
  const auto command = connection_->next();
  ASSERT_TRUE(command);
  EXPECT_EQ(to_hex(command->bytes), "80010000000c0000017b0008");
  EXPECT_EQ(command->locality, 3);
  ASSERT_TRUE(connection_->respond(*command, from_hex("aabbcc")));
  EXPECT_EQ(received(), "00000003"
                        "aabbcc"
                        "00000000");
}

TEST_F(CommandConnectionTest, ImpossibleLengthsAreAnsweredAndSkipped) {
  deliver("8001 00000009 0000017b 0008");
  auto command = connection_->next();
  ASSERT_TRUE(command);
  EXPECT_TRUE(command->bytes.empty());
  EXPECT_FALSE(connection_->next());

  // Too long: every byte of it is dropped, however it arrives, and the next command is found.
  const std::size_t length = command_max_bytes + 1;
  std::vector<std::byte> bytes(length, std::byte{0xff});
  const auto header = from_hex("8001 00001389 0000017b");
  std::copy(header.begin(), header.end(), bytes.begin());
  const auto next = from_hex(get_random);
  bytes.insert(bytes.end(), next.begin(), next.end());
  send(bytes);
  ASSERT_TRUE(connection_->receive());
  command = connection_->next();
  ASSERT_TRUE(command);
  EXPECT_TRUE(command->bytes.empty());
  command = connection_->next();
  if (!command) {
    ASSERT_TRUE(connection_->receive());
    command = connection_->next();
  }
  ASSERT_TRUE(command);
  EXPECT_EQ(to_hex(command->bytes), "80010000000c0000017b0008");
}

TEST_F(CommandConnectionTest, FourGigabytesAnnounced) {
  deliver("8001 ffffffff 0000017b");
  ASSERT_TRUE(connection_->next()->bytes.empty());
  for (int round = 0; round < 1000; ++round) {
    send(std::vector<std::byte>(4096, std::byte{1}));
    ASSERT_TRUE(connection_->receive());
    ASSERT_FALSE(connection_->next());
  }
}

TEST_F(CommandConnectionTest, LargestCommandPasses) {
  std::vector<std::byte> bytes(command_max_bytes, std::byte{1});
  const auto header = from_hex("8001 00001388 0000017b");
  std::copy(header.begin(), header.end(), bytes.begin());
  send(bytes);
  ASSERT_TRUE(connection_->receive());
  EXPECT_EQ(connection_->next()->bytes.size(), command_max_bytes);
}

TEST_F(CommandConnectionTest, PeerThatDoesNotReadHoldsUpNobody) {
  const std::vector<std::byte> response(4000, std::byte{5});
  std::size_t responses = 0;
  while (!connection_->has_output()) {
    ASSERT_TRUE(connection_->respond({}, response));
    ASSERT_LT(++responses, 10000U);
  }
  // While a response waits, only its way out is of interest.
  EXPECT_EQ(connection_->poll_events(), POLLOUT);
  std::size_t total_bytes = 0;
  while (total_bytes < responses * response.size()) {
    const std::string hex = received();
    ASSERT_FALSE(hex.empty());
    total_bytes += hex.size() / 2;
    if (connection_->has_output()) {
      ASSERT_TRUE(connection_->flush());
    }
  }
  EXPECT_EQ(total_bytes, responses * response.size());
  EXPECT_EQ(connection_->poll_events(), POLLIN);
}

TEST_F(CommandConnectionTest, PeerThatIsGone) {
  peer_.reset();
  EXPECT_FALSE(connection_->receive());
  EXPECT_FALSE(connection_->respond({}, from_hex("aa")));
}

// Whatever of the stream has come: another connection goes on with it.
class TakenOnTest : public CommandConnectionTest {
protected:
  void take_on(bool waits) {
    const CommandConnection::Rest rest = connection_->rest(waits);
    // The socket is the same.
    connection_.emplace(UniqueFd(::dup(connection_->fd())), true, command_max_bytes);
    ASSERT_TRUE(connection_->go_on(rest).ok());
  }
  [[nodiscard]] std::string next() {
    const auto command = connection_->next();
    return command ? to_hex(command->bytes) : "none";
  }
};

TEST_F(TakenOnTest, ACommandThatHasComeInPart) {
  deliver("8001 0000000c 00");
  EXPECT_EQ(next(), "none");
  take_on(false);
  deliver("00017b 0008");
  EXPECT_EQ(next(), "80010000000c0000017b0008");
}

TEST_F(TakenOnTest, ACommandThatWaitsAndTheOneBehindIt) {
  for (const bool with_head : {false, true}) {
    const std::string head = with_head ? "00000008 02 0000000c" : "";
    deliver(head + std::string(get_random) + "8001 0000000a 00000181");
    ASSERT_EQ(next(), "80010000000c0000017b0008");
    take_on(true);
    const auto again = connection_->next();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->with_head, with_head);
    EXPECT_EQ(to_hex(again->bytes), "80010000000c0000017b0008");
    EXPECT_EQ(next(), "80010000000a00000181");
  }
}

TEST_F(TakenOnTest, OneThatIsTooLongAndWaitsOrIsBeingDropped) {
  for (const bool waits : {true, false}) {
    deliver("8001 00001389 0000017b"); // 5001 bytes, of which these are the first.
    ASSERT_EQ(next(), "");
    take_on(waits);
    if (waits) {
      EXPECT_EQ(next(), "");
    }
    send(std::vector<std::byte>(5001 - 10));
    EXPECT_EQ(next(), "none");
    ASSERT_TRUE(connection_->receive());
    EXPECT_EQ(next(), "none");
    deliver(get_random);
    EXPECT_EQ(next(), "80010000000c0000017b0008");
  }
}

TEST_F(TakenOnTest, AResponseThatIsNotOutYet) {
  deliver(get_random);
  const auto command = connection_->next();
  std::vector<std::byte> response(1U << 20U, std::byte{7});
  ASSERT_TRUE(connection_->respond(*command, response));
  ASSERT_TRUE(connection_->has_output());
  take_on(false);
  std::size_t received_bytes = 0;
  while (connection_->has_output() || received_bytes < response.size()) {
    received_bytes += received().size() / 2;
    ASSERT_TRUE(!connection_->has_output() || connection_->flush());
  }
  EXPECT_EQ(received_bytes, response.size());
}

TEST_F(TakenOnTest, MoreThanThereCanBeIsRefused) {
  EXPECT_FALSE(connection_
                   ->go_on({.unread = std::vector<std::byte>(command_max_bytes + 10),
                            .discard_bytes = 0,
                            .unsent = {}})
                   .ok());
  EXPECT_FALSE(
      connection_
          ->go_on(
              {.unread = {}, .discard_bytes = 0, .unsent = std::vector<std::byte>((1U << 20U) + 1)})
          .ok());
}

} // namespace
} // namespace vnvram::test
