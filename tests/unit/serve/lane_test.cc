// The lane for changes: what its holder may do by it, and what comes of messages that are none.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "rpc/lane_frame.h"
#include "unit/serve/raw_session.h"
#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

constexpr std::chrono::minutes patience{1};

/// A session of a client that has only what it needs of ours.
class LaneSession : public RawSession {
public:
  using Answer = Result<std::uint64_t>;
  using Capability = std::function<rpc::Blobs::Client(rpc::Owner::Client&)>;

  explicit LaneSession(UniqueFd socket) : RawSession(std::move(socket)) {}

  [[nodiscard]] Status open(const Capability& of = [](auto& owner) { return owner; }) {
    const Status opened = answer<void>([&](auto& owner) { return open_lane(of(owner)); });
    if (opened) {
      lane().open();
    }
    return opened;
  }
  /// Its answer is the next of `answers`.
  void send(const Transaction& transaction, bool deferred = false) {
    (void)lane().send(transaction, deferred,
                      [this](const Answer& answer) { answers.push_back(answer); });
    send_lane();
  }
  [[nodiscard]] Answer change(std::string_view blob, std::string_view text) {
    Transaction transaction;
    const Bytes content = bytes(text);
    transaction.write(blob, content);
    const std::size_t count = answers.size();
    send(transaction);
    return await(count + 1) ? answers.back() : Error(ErrorKind::io, "no answer");
  }
  bool await(std::size_t count) {
    return go_on(patience, [&] { return answers.size() >= count; });
  }

  std::vector<Answer> answers;
};

Bytes content_of(BlobClient& client, std::string_view blob) {
  auto read = client.read_all(blob);
  EXPECT_TRUE(read.ok()) << read.error().text();
  return read ? *std::move(read) : Bytes();
}

class LaneTest : public ServedImage {
protected:
  void SetUp() override { serve({spec("a", 4096), spec("b", 65536), spec("tpm2.state", 4096)}); }

  /// Says that it has so many words, whatever comes behind that.
  [[nodiscard]] static Bytes frame(std::uint32_t length_words, std::span<const std::byte> behind) {
    const auto header = make_lane_frame_header(length_words);
    Bytes made(header.size() + behind.size());
    std::ranges::copy(header, made.begin());
    std::ranges::copy(behind, made.begin() + header.size());
    return made;
  }
  /// The owner ends a session that says this, and no other one.
  void expect_the_end(LaneSession& session, const Bytes& said) {
    const auto other = client();
    (void)::send(session.socket(), said.data(), said.size(), MSG_NOSIGNAL);
    EXPECT_KIND(session.answer<void>([](auto& owner) { return state(owner); }), io);
    ASSERT_OK(put(*other, "b", "x"));
  }
};

TEST_F(LaneTest, AChangeIsDurableAndSaysTheGeneration) {
  LaneSession session(socket());
  ASSERT_OK(session.open());
  const auto made = session.change("a", "by the lane");
  ASSERT_OK(made);
  const auto other = client();
  const auto found = other->blob("a");
  ASSERT_OK(found);
  EXPECT_EQ(found->generation, *made);
  EXPECT_EQ(content_of(*other, "a"), bytes("by the lane"));
  EXPECT_KIND(other->write("a", 0, bytes("x"), Durability::on_return), in_use);
  EXPECT_KIND(session.change("nobody", "x"), not_found);
  ASSERT_OK(session.change("a", "goes on"));
}

TEST_F(LaneTest, ItHasTheRightsOfWhoOpensIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  server_->admit(UniqueFd(ends[0]), Scope({{.name = "tpm2.", .is_prefix = true, .writes = true}}),
                 {.device = "tpm", .pid = ::getpid()});
  LaneSession front_end{UniqueFd(ends[1])};
  ASSERT_OK(front_end.open());
  ASSERT_OK(front_end.change("tpm2.state", "its own"));
  const auto refused = front_end.change("a", "x");
  EXPECT_KIND(refused, not_found);
  EXPECT_EQ(refused.error().cause(), "a: there is no such blob");
  Transaction both;
  const Bytes content = bytes("x");
  both.write("tpm2.state", content);
  both.write("a", content);
  front_end.send(both);
  ASSERT_TRUE(front_end.await(3));
  EXPECT_KIND(front_end.answers.back(), not_found);

  LaneSession reader(socket());
  ASSERT_OK(reader.open([](auto& owner) { return narrowed(owner, {{.blob = "a"}}); }));
  EXPECT_KIND(reader.change("a", "x"), read_only);
  EXPECT_KIND(reader.change("b", "x"), not_found);
  const auto other = client();
  EXPECT_EQ(content_of(*other, "tpm2.state"), bytes("its own"));
  EXPECT_EQ(content_of(*other, "a"), Bytes());
}

TEST_F(LaneTest, ThereIsOne) {
  LaneSession session(socket());
  ASSERT_OK(session.open([](auto& owner) { return narrowed(owner, {{.blob = "a"}}); }));
  EXPECT_KIND(session.open(), in_use);
  EXPECT_KIND(session.change("a", "x"), read_only);
}

TEST_F(LaneTest, ItsChangesAndThoseThatAreCallsGoInTheirOrder) {
  LaneSession session(socket());
  ASSERT_OK(session.open());
  const auto owner = operators();
  ASSERT_OK(owner->hold(std::chrono::minutes(1)));
  std::size_t calls = session.answer_count();
  for (int number = 0; number < 10; ++number) {
    const Bytes content = bytes("lane " + std::to_string(number));
    Transaction transaction;
    transaction.write("a", content);
    session.send(transaction);
    session.ask([&](rpc::Owner::Client& blobs) { return change(blobs, "a"); });
  }
  const Bytes last = bytes("the last");
  Transaction transaction;
  transaction.write("a", last);
  session.send(transaction);
  ASSERT_OK(owner->release());
  ASSERT_TRUE(session.await(11));
  ASSERT_TRUE(session.go_on(patience, [&] { return session.answer_count() == calls + 10; }));
  std::uint64_t generation = 0;
  for (const auto& answer : session.answers) {
    ASSERT_OK(answer);
    EXPECT_GT(*answer, generation);
    generation = *answer;
  }
  EXPECT_EQ(content_of(*client(), "a"), last);
}

TEST_F(LaneTest, NobodyReadsMoreOfItThanTheOwnerKeepsWhileChangesAreHeld) {
  LaneSession session(socket());
  ASSERT_OK(session.open());
  const auto owner = operators();
  ASSERT_OK(owner->hold(std::chrono::minutes(1)));
  const Bytes content(60000, std::byte{1});
  Transaction transaction;
  transaction.write("b", content);
  constexpr std::size_t count_max = 400; // Of 17 MiB there are fewer.
  constexpr std::chrono::seconds stuck_after{2};
  std::size_t count = 0;
  bool is_taken = true;
  while (is_taken && count < count_max) {
    session.send(transaction);
    ++count;
    is_taken = session.go_on(stuck_after, [&] { return !session.has_output(); });
  }
  EXPECT_LT(count, count_max);
  EXPECT_GT(count, 17U * 16); // As many are taken as calls would be.
  EXPECT_EQ(content_of(*client(), "a"), Bytes());
  ASSERT_OK(owner->release());
  ASSERT_TRUE(session.await(count));
  for (const auto& answer : session.answers) {
    ASSERT_OK(answer);
  }
}

TEST_F(LaneTest, SoDoManySmallOnes) {
  LaneSession session(socket());
  ASSERT_OK(session.open());
  const auto owner = operators();
  ASSERT_OK(owner->hold(std::chrono::minutes(1)));
  constexpr std::size_t count_max = 40000; // Of 17 MiB, at 1 KiB each, there are fewer.
  constexpr std::size_t sent_at_once = 100;
  constexpr std::chrono::seconds stuck_after{2};
  std::size_t count = 0;
  bool is_taken = true;
  for (; is_taken && count < count_max; count += sent_at_once) {
    for (std::size_t each = 0; each < sent_at_once; ++each) {
      session.send(Transaction());
    }
    is_taken = session.go_on(stuck_after, [&] { return !session.has_output(); });
  }
  EXPECT_LT(count, count_max);
  ASSERT_OK(owner->release());
  ASSERT_TRUE(session.await(count));
}

TEST_F(LaneTest, WhatIsSentBeforeItIsOpenEndsTheSession) {
  LaneSession session(socket());
  expect_the_end(session, frame(4, Bytes(32)));
}

TEST_F(LaneTest, LengthsThatNoneHasEndTheSession) {
  for (const std::uint32_t length_words : {0U, 0xffffffffU, 3U << 20U}) {
    LaneSession session(socket());
    ASSERT_OK(session.open());
    expect_the_end(session, frame(length_words, {}));
  }
}

TEST_F(LaneTest, WhatIsNoMessageEndsTheSession) {
  for (const std::byte filling : {std::byte{0xff}, std::byte{1}, std::byte{0x7c}}) {
    LaneSession session(socket());
    ASSERT_OK(session.open());
    expect_the_end(session, frame(8, Bytes(64, filling)));
  }
}

TEST_F(LaneTest, AMessageMayComeInAnyPieces) {
  LaneSession session(socket());
  ASSERT_OK(session.open());
  capnp::MallocMessageBuilder message;
  auto asked = message.initRoot<rpc::LaneChange>();
  asked.setNumber(1);
  set(asked.initUpdates(1)[0], "a", UpdateKind::whole);
  const auto segment = message.getSegmentsForOutput()[0];
  const Bytes said = frame(static_cast<std::uint32_t>(segment.size()),
                           std::as_bytes(std::span(segment.begin(), segment.end())));
  for (const std::byte& each : said) {
    ASSERT_EQ(::send(session.socket(), &each, 1, MSG_NOSIGNAL), 1);
  }
  ASSERT_OK(session.answer<void>([](auto& owner) { return state(owner); }));
  EXPECT_EQ(content_of(*client(), "a"), bytes("x"));
}

} // namespace
} // namespace vnvram::test
