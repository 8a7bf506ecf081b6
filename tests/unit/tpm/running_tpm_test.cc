#include "tpm/running_tpm.h"

#include <gtest/gtest.h>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "rpc/running_tpm.capnp.h"
#include "support/bytes.h"

namespace vnvram::test {
namespace {

std::vector<std::byte> filled(std::size_t size_bytes, int with) {
  return std::vector<std::byte>(size_bytes, static_cast<std::byte>(with));
}

// With something in each of its places.
RunningTpm full() {
  RunningTpm tpm;
  tpm.image_uuid.fill(std::byte{0xab});
  tpm.generations = {7, 0, 3};
  tpm.state.power = RunningState::Power::on;
  tpm.state.volatile_state = SecretBytes(filled(9000, 1));
  tpm.state.coming[2].emplace(filled(5, 2));
  tpm.state.is_untouched = false;
  tpm.state.buffer_size_bytes = 4096;
  tpm.state.shutdown = OrderlyShutdown::Told{.keeps_state = true, .stands = false};
  tpm.standing = {.state = Custody::State::handed_over, .copied = true, .must_look = true};
  tpm.machine_locality = 3;
  tpm.next_client = 9;
  tpm.controller = 8;
  RunningTpm::Client& client = tpm.clients.emplace_back();
  client.number = 8;
  client.rest.padding_possible = true;
  client.rest.unread = filled(3, 0);
  client.blob_type = 1;
  client.blob = SecretBytes(filled(70, 4));
  tpm.clients.emplace_back().number = 2;
  tpm.machine =
      CommandConnection::Rest{.unread = filled(11, 5), .discard_bytes = 6, .unsent = filled(12, 7)};
  return tpm;
}

// What is said of it, when something has been done to the message.
template <typename Change> Result<RunningTpm> read_changed(Change change) {
  const SecretBytes said = write_running_tpm(full());
  capnp::FlatArrayMessageReader reader(
      kj::arrayPtr(reinterpret_cast<const capnp::word*>(said.get().data()),
                   said.get().size() / sizeof(capnp::word)));
  capnp::MallocMessageBuilder builder;
  builder.setRoot(reader.getRoot<rpc::RunningTpm>());
  change(builder.getRoot<rpc::RunningTpm>());
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(builder);
  return read_running_tpm(std::as_bytes(std::span(words.begin(), words.end())));
}

template <typename Change> ErrorKind refused(Change change) {
  const Result<RunningTpm> read = read_changed(change);
  EXPECT_FALSE(read.ok());
  return read.ok() ? ErrorKind::sealed : read.error().kind();
}

TEST(RunningTpmTest, AllOfItComesAcross) {
  const Result<RunningTpm> read = read_running_tpm(write_running_tpm(full()).get());
  ASSERT_TRUE(read.ok()) << read.error().text();
  const RunningTpm expected = full();
  EXPECT_EQ(read->version, TpmVersion::tpm2_0);
  EXPECT_EQ(read->image_uuid, expected.image_uuid);
  EXPECT_EQ(read->generations, expected.generations);
  EXPECT_EQ(read->state.power, RunningState::Power::on);
  EXPECT_EQ(read->state.volatile_state.get(), expected.state.volatile_state.get());
  EXPECT_FALSE(read->state.coming[0]);
  EXPECT_FALSE(read->state.coming[1]);
  EXPECT_EQ(read->state.coming[2]->get(), filled(5, 2));
  EXPECT_FALSE(read->state.is_untouched);
  EXPECT_EQ(read->state.buffer_size_bytes, 4096U);
  EXPECT_TRUE(read->state.shutdown->keeps_state);
  EXPECT_FALSE(read->state.shutdown->stands);
  EXPECT_EQ(read->standing.state, Custody::State::handed_over);
  EXPECT_TRUE(read->standing.copied);
  EXPECT_TRUE(read->standing.must_look);
  EXPECT_EQ(read->machine_locality, 3);
  EXPECT_EQ(read->next_client, 9U);
  EXPECT_EQ(read->controller, 8U);
  EXPECT_EQ(read->socket_count(), 3U);
  EXPECT_TRUE(read->clients[0].rest.padding_possible);
  EXPECT_EQ(read->clients[0].rest.unread, filled(3, 0));
  EXPECT_EQ(read->clients[0].blob_type, 1U);
  EXPECT_EQ(read->clients[0].blob.get(), filled(70, 4));
  EXPECT_EQ(read->clients[1].number, 2U);
  EXPECT_FALSE(read->clients[1].blob_type);
  EXPECT_EQ(read->machine->unread, filled(11, 5));
  EXPECT_EQ(read->machine->discard_bytes, 6U);
  EXPECT_EQ(read->machine->unsent, filled(12, 7));
}

TEST(RunningTpmTest, OneThatIsOffAndAlone) {
  RunningTpm tpm;
  tpm.version = TpmVersion::tpm1_2;
  const Result<RunningTpm> read = read_running_tpm(write_running_tpm(tpm).get());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->version, TpmVersion::tpm1_2);
  EXPECT_EQ(read->state.power, RunningState::Power::off);
  EXPECT_EQ(read->socket_count(), 0U);
  EXPECT_FALSE(read->controller);
  EXPECT_FALSE(read->state.shutdown);
}

TEST(RunningTpmTest, AnotherVersionsIsRefusedAsThat) {
  using Builder = rpc::RunningTpm::Builder;
  EXPECT_EQ(refused([](Builder tpm) { tpm.setUnderstoodBy(2); }), ErrorKind::unsupported);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setUnderstoodBy(0); }), ErrorKind::unsupported);
}

TEST(RunningTpmTest, WhatCannotBeIsRefused) {
  using Builder = rpc::RunningTpm::Builder;
  constexpr auto wrong = ErrorKind::invalid_argument;
  EXPECT_EQ(refused([](Builder tpm) { tpm.setTpmVersion("3.0"); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.initImageUuid(15); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.initGenerations(4); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setPower(rpc::RunningTpm::Power(77)); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.initVolatileState(0); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setPower(rpc::RunningTpm::Power::OFF); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.getComing()[0].setState(3); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) {
              tpm.getComing()[0].initContent(static_cast<unsigned>(blob_size_max_bytes) + 1);
            }),
            wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setCustody(rpc::Custody(9)); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setMachineLocality(5); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setController(7); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.setNextClient(8); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) { tpm.getClients()[1].setNumber(0); }), wrong);
  EXPECT_EQ(refused([](Builder tpm) {
              tpm.initClients(static_cast<unsigned>(running_tpm_clients_max) + 1);
            }),
            wrong);
}

TEST(RunningTpmTest, WhatIsCutOffIsRefused) {
  const SecretBytes said = write_running_tpm(full());
  for (std::size_t size_bytes = 0; size_bytes < said.get().size(); ++size_bytes) {
    const Result<RunningTpm> read =
        read_running_tpm(std::span<const std::byte>(said.get()).first(size_bytes));
    ASSERT_FALSE(read.ok()) << size_bytes;
    EXPECT_EQ(read.error().kind(), ErrorKind::invalid_argument);
  }
}

// Whatever is said: something, or nothing, and never more than was sent.
TEST(RunningTpmTest, NoBitBringsItDown) {
  const SecretBytes said = write_running_tpm(full());
  std::vector<std::byte> bytes = said.get();
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += bit < 8192 ? 1 : 61) {
    const auto mask = static_cast<std::byte>(1U << (bit % 8));
    bytes[bit / 8] ^= mask;
    if (const Result<RunningTpm> read = read_running_tpm(bytes); read.ok()) {
      EXPECT_LE(read->state.volatile_state.get().size(), bytes.size());
      EXPECT_LE(read->clients.size(), running_tpm_clients_max);
    }
    bytes[bit / 8] ^= mask;
  }
}

} // namespace
} // namespace vnvram::test
