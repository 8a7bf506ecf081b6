// A remote client whose owner does not come back, or comes back with something else.
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "base/descriptor_passing.h"
#include "rpc/owner_address.h"
#include "support/expect_status.h"
#include "unit/client/lasting_client_fixture.h"

namespace vnvram::test {
namespace {

TEST_F(LastingClient, GivesUpWhenNoOwnerComes) {
  const auto client = lasting(owner_.connector(), impatience);
  std::atomic<int> told = 0;
  client->watch_failures([&told](const Error&) {
    ++told;
    told.notify_all();
  });
  ASSERT_OK(client->write("a", 0, bytes("x"), Durability::deferred));
  owner_.kill();
  const auto lost = client->read_all("a");
  EXPECT_KIND(lost, io);
  EXPECT_NE(lost.error().text().find("not come back within 0.05 s"), std::string::npos);
  EXPECT_NE(lost.error().remedy().find("start the owner"), std::string::npos);
  told.wait(0);
  owner_.start(); // Too late: the guest has heard of an error.
  EXPECT_KIND(client->read_all("a"), io);
  EXPECT_KIND(client->flush(), io);
  EXPECT_EQ(told, 1);
}

TEST_F(LastingClient, GivesUpAtOnceWhenNoneCanComeAnyMore) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  UniqueFd supervisor(ends[0]);
  const UniqueFd channel(ends[1]);
  ASSERT_OK(pass_descriptor(supervisor.get(), "session", owner_.connect()->get()));
  const auto connector = connector_to("fd:" + std::to_string(channel.get()));
  ASSERT_OK(connector);
  const auto client = lasting(*connector, std::chrono::hours(1));
  ASSERT_OK(client->write("a", 0, bytes("x"), Durability::on_return));
  owner_.kill();
  supervisor.reset();
  EXPECT_KIND(client->write("a", 0, bytes("y"), Durability::on_return), stale);
}

TEST_F(LastingClient, WhoeverWritesABlobOfItsMeanwhileIsNotOverwritten) {
  ASSERT_OK(write("old"));
  ASSERT_OK(write("deferred", Durability::deferred));
  std::atomic<bool> may_connect = true;
  const auto client = lasting([&]() -> Result<UniqueFd> {
    return may_connect ? owner_.connect() : Error(ErrorKind::absent, "not yet");
  });
  ASSERT_OK(client->write("b", 0, bytes("mine"), Durability::on_return));
  ASSERT_OK(client->write("b", 0, bytes("deferred"), Durability::deferred));
  may_connect = false;
  owner_.kill();
  owner_.start();
  const auto other = lasting(owner_.connector());
  ASSERT_OK(other->write("b", 0, bytes("other"), Durability::on_return));
  may_connect = true;
  EXPECT_KIND(client->write("b", 0, bytes("mine"), Durability::on_return), in_use);
  EXPECT_KIND(client->read_all("b"), in_use); // For good.
  EXPECT_EQ(content_of(*other, "b"), bytes("other"));
  EXPECT_EQ(owner_.after_a_cut("b"), bytes("other"));
  EXPECT_EQ(content(), bytes("deferred")); // Who has only others' blobs beside its own goes on.
}

TEST_F(LastingClient, AnotherImageIsRefused) {
  ASSERT_OK(write("old"));
  ASSERT_OK(write("deferred", Durability::deferred));
  owner_.kill();
  owner_.put_in_place(MortalOwner::make_disk({spec("a", 4096), spec("b", 65536)}));
  owner_.start();
  EXPECT_KIND(client_->read_all("a"), stale);
  EXPECT_KIND(write("new"), stale);
  EXPECT_EQ(owner_.after_a_cut("a"), Bytes());
}

TEST_F(LastingClient, AnOlderImageIsRefused) {
  ASSERT_OK(write("oldest"));
  const auto older = owner_.copy_of_disk();
  ASSERT_OK(write("newer"));
  owner_.kill();
  owner_.put_in_place(older);
  owner_.start();
  const auto refused = client_->read_all("a");
  EXPECT_KIND(refused, stale);
  EXPECT_NE(refused.error().text().find("older image"), std::string::npos);
  EXPECT_EQ(owner_.after_a_cut("a"), bytes("oldest"));
}

TEST_F(LastingClient, WhatCannotBeRepeatedIsNotPassedOver) {
  ASSERT_OK(write("old"));
  ASSERT_OK(write("deferred", Durability::deferred));
  owner_.kill();
  owner_.start();
  ASSERT_OK(owner_.operators()->remove("a"));
  EXPECT_KIND(client_->read_all("a"), not_found);
  EXPECT_KIND(client_->flush(), not_found); // Nobody believes that it is durable.
}

TEST_F(LastingClient, AtItsStartNobodyIsWaitedFor) {
  owner_.kill();
  EXPECT_KIND(RemoteBlobClient::connect({.connect = owner_.connector()}), absent);
}

} // namespace
} // namespace vnvram::test
