// What a session is refused whose rights were narrowed, by clients that are none of ours: calls of
// every kind with Cap'n Proto's own client, and messages that no client makes.
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "unit/serve/raw_peer.h"
#include "unit/serve/served_image.h"
#include "unit/serve/tpm_rights.h"

namespace vnvram::test {
namespace {

class RightsTest : public ServedImage {
protected:
  void SetUp() override {
    serve({spec("a", 4096), spec("tpm", 4096), spec("tpm2.other", 4096), spec("tpm2.state", 4096)});
  }
  /// Of a session that begins with the TPM's blobs, as a front end's does that the owner starts.
  UniqueFd admitted() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    server_->admit(UniqueFd(ends[0]),
                   Scope({{.name = "tpm2.", .is_prefix = true, .writes = true, .registers = true}}),
                   {.device = "tpm", .pid = ::getpid()});
    return UniqueFd(ends[1]);
  }
};

TEST_F(RightsTest, ANarrowedCapabilityReachesNothingElse) {
  RawSession session(socket());
  const auto somebody = client();
  TpmRights(
      session, [](auto owner) { return narrowed(owner, TpmRights::grants()); }, *somebody)
      .expect_nothing_else();
}

TEST_F(RightsTest, NorDoesOneThatWasNarrowedTwice) {
  RawSession session(socket());
  const auto somebody = client();
  TpmRights(
      session,
      [](auto owner) {
        return narrowed(
            narrowed(owner, {{.blob = "tp", .is_prefix = true, .writes = true, .registers = true}}),
            TpmRights::grants());
      },
      *somebody)
      .expect_nothing_else();
}

TEST_F(RightsTest, ASessionThatBeginsWithFewRightsHasNoOthers) {
  RawSession session(admitted());
  const auto somebody = client();
  TpmRights rights(
      session, [](auto bootstrap) { return bootstrap; }, *somebody);
  rights.expect_nothing_else();
  session.bootstrap_again();
  rights.expect_nothing_else();
}

// Who hands a capability on keeps its own: a session that shall have less begins with less.
TEST_F(RightsTest, AConnectionThatBeganWithEverythingKeepsIt) {
  RawSession session(socket());
  ASSERT_OK(session.answer<void>([](rpc::Owner::Client& owner) {
    return read(narrowed(owner, TpmRights::grants()), "tpm2.state");
  }));
  session.bootstrap_again();
  ASSERT_OK(session.answer<void>([](rpc::Owner::Client& owner) { return read(owner, "a"); }));
}

// Capabilities are numbers on the wire. One that was not given, or was let go of, is none.
TEST_F(RightsTest, ACapabilityThatWasNotGivenCannotBeGuessed) {
  constexpr std::uint64_t owner_interface = capnp::typeId<rpc::Owner>();
  constexpr std::uint64_t blobs_interface = capnp::typeId<rpc::Blobs>();
  constexpr std::uint16_t status_call = 0;
  constexpr std::uint16_t list_call = 1;
  constexpr std::uint16_t narrow_call = 8;
  for (std::uint32_t guess = 0; guess < 16; ++guess) {
    SCOPED_TRACE(guess);
    RawPeer peer(socket());
    const std::uint32_t everything = peer.bootstrap(1);
    peer.call(2, everything, blobs_interface, narrow_call);
    std::uint32_t nothing = 0;
    ASSERT_EQ(peer.answer(2,
                          [&](capnp::rpc::Payload::Reader results) {
                            nothing = results.getCapTable()[0].getSenderHosted();
                          }),
              RawPeer::Answer::results);
    peer.finish(1);
    peer.finish(2);
    peer.release(everything);
    peer.call(3, nothing, blobs_interface, list_call);
    ASSERT_EQ(peer.answer(3), RawPeer::Answer::results);
    peer.call(4, nothing, owner_interface, status_call);
    ASSERT_EQ(peer.answer(4), RawPeer::Answer::exception);
    peer.call(5, guess, owner_interface, status_call);
    EXPECT_NE(peer.answer(5), RawPeer::Answer::results);
  }
  for (std::uint32_t guess = 0; guess < 16; ++guess) {
    SCOPED_TRACE(guess);
    RawPeer peer(admitted());
    peer.call(2, peer.bootstrap(1), blobs_interface, list_call);
    ASSERT_EQ(peer.answer(2), RawPeer::Answer::results);
    peer.call(3, guess, owner_interface, status_call);
    EXPECT_NE(peer.answer(3), RawPeer::Answer::results);
  }
  for (std::uint32_t guess = 0; guess < 16; ++guess) {
    SCOPED_TRACE(guess);
    RawPeer peer(socket());
    peer.call_answer_of(20, guess, owner_interface, status_call);
    EXPECT_NE(peer.answer(20), RawPeer::Answer::results);
  }
  ASSERT_OK(put(*client(), "a", "still here"));
}

} // namespace
} // namespace vnvram::test
