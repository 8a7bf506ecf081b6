// A client of an owner from before there were lanes for changes.
#include <cstring>
#include <span>
#include <vector>

#include <capnp/rpc.capnp.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include "rpc/lane_frame.h"
#include "rpc/owner.capnp.h"
#include "rpc/remote_blob_client.h"
#include "support/expect_status.h"
#include "unit/client/mortal_owner.h"
#include "unit/client/passage.h"

namespace vnvram::test {
namespace {

constexpr std::uint16_t open_lane_method = 13;
constexpr std::uint16_t unknown_method = 999;

/// On its way to the owner the call that opens a lane becomes one that the owner does not know.
bool without_lane(Bytes& message) {
  EXPECT_NE(load_frame_number(message), lane_frame_marker) << "a lane that nobody has opened";
  std::vector<capnp::word> words(message.size() / sizeof(capnp::word));
  std::memcpy(words.data(), message.data(), message.size());
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()));
  const auto said = reader.getRoot<capnp::rpc::Message>();
  if (!said.isCall() || said.getCall().getMethodId() != open_lane_method ||
      said.getCall().getInterfaceId() != capnp::typeId<rpc::Blobs>()) {
    return false;
  }
  capnp::MallocMessageBuilder other;
  other.setRoot(said);
  other.getRoot<capnp::rpc::Message>().getCall().setMethodId(unknown_method);
  const auto rewritten = capnp::messageToFlatArray(other);
  const auto rewritten_bytes = std::as_bytes(std::span(rewritten.begin(), rewritten.end()));
  message.assign(rewritten_bytes.begin(), rewritten_bytes.end());
  return true;
}

TEST(LanelessOwner, IsAskedByCalls) {
  MortalOwner owner{{spec("a", 4096)}};
  Passage passage([&owner] { return owner.connect(); });
  passage.set_rewrite(without_lane);
  const auto client = RemoteBlobClient::connect({.connect = passage.connector()});
  ASSERT_OK(client);
  for (std::size_t round = 1; round <= 3; ++round) {
    ASSERT_OK((*client)->write("a", 0, bytes("deferred"), Durability::deferred));
    ASSERT_OK((*client)->write("a", 2, bytes("durable"), Durability::on_return));
    const auto read = (*client)->read_all("a");
    ASSERT_OK(read);
    EXPECT_EQ(*read, bytes("dedurable"));
    EXPECT_KIND((*client)->write("nobody", 0, bytes("x"), Durability::on_return), not_found);
    EXPECT_EQ(passage.rewritten_count(), round);
    owner.kill();
    owner.start();
  }
}

} // namespace
} // namespace vnvram::test
