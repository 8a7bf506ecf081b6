// What an owner grants its sessions, and what they cannot do to each other.
#include "serve/owner_server.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OwnerServerTest : public ServedImage {
protected:
  void SetUp() override { serve({spec("a", 4096), spec("b", 65536), spec("tpm2.state", 4096)}); }
  static Transaction of(std::string_view blob, std::string_view text) {
    Transaction transaction;
    transaction.write(blob, bytes(text));
    return transaction;
  }
};

TEST_F(OwnerServerTest, WhatWasNarrowedReachesNothingElse) {
  const auto session = link();
  const auto ask = [&](auto call, const std::vector<Asked>& grants, const std::string& blob) {
    return session->ask<void>(
        [&](rpc::Owner::Client& owner) { return call(narrowed(owner, grants), blob); });
  };
  const std::vector<Asked> tpm{
      {.blob = "tpm2.", .is_prefix = true, .writes = true, .registers = true}};
  ASSERT_OK(ask(change, tpm, "tpm2.state"));
  ASSERT_OK(ask(read, tpm, "tpm2.state"));
  ASSERT_OK(ask(register_blob, tpm, "tpm2.more"));
  EXPECT_KIND(ask(read, tpm, "a"), not_found);
  EXPECT_KIND(ask(info, tpm, "a"), not_found);
  EXPECT_KIND(ask(change, tpm, "a"), not_found);
  EXPECT_KIND(ask(change, tpm, ""), not_found);
  EXPECT_KIND(ask(register_blob, tpm, "tpm1.more"), read_only);
  const std::vector<Asked> reader{{.blob = "a"}};
  ASSERT_OK(ask(read, reader, "a"));
  EXPECT_KIND(ask(change, reader, "a"), read_only);
  EXPECT_KIND(ask(register_blob, reader, "a"), read_only);
  EXPECT_KIND(ask(read, reader, "aa"), not_found);
  EXPECT_KIND(ask(read, {}, "a"), not_found);
}

TEST_F(OwnerServerTest, WhatWasNarrowedIsNotWidenedByNarrowing) {
  const auto session = link();
  const std::vector<Asked> everything{
      {.blob = "", .is_prefix = true, .writes = true, .registers = true}};
  EXPECT_KIND(session->ask<void>([&](rpc::Owner::Client& owner) {
    return change(narrowed(narrowed(owner, {{.blob = "a"}}), everything), "a");
  }),
              read_only);
  EXPECT_KIND(session->ask<void>([&](rpc::Owner::Client& owner) {
    return read(narrowed(narrowed(owner, {{.blob = "a"}}), everything), "b");
  }),
              not_found);
}

TEST_F(OwnerServerTest, WhatWasNarrowedHasNoCallOfTheOperators) {
  const auto session = link();
  EXPECT_KIND(session->ask<void>([&](rpc::Owner::Client& owner) {
    auto blobs =
        narrowed(owner, {{.blob = "", .is_prefix = true, .writes = true, .registers = true}});
    return blobs.castAs<rpc::Owner>().statusRequest().send().then(
        [](auto&& answer) { return take_status(answer); });
  }),
              unsupported);
}

TEST_F(OwnerServerTest, ABlobHasOneWriterUntilItsSessionEnds) {
  auto first = client();
  const auto second = client();
  ASSERT_OK(put(*first, "a", "first"));
  EXPECT_KIND(put(*second, "a", "second"), in_use);
  EXPECT_KIND(second->commit(of("a", "second")), in_use);
  ASSERT_OK(put(*second, "b", "second"));
  EXPECT_KIND(operators()->remove("a"), in_use);
  EXPECT_EQ(*second->read_all("a"), bytes("first"));
  Transaction both;
  both.write("tpm2.state", bytes("x"));
  both.write("a", bytes("x"));
  EXPECT_KIND(second->commit(both), in_use);
  ASSERT_OK(put(*first, "tpm2.state", "still nobody's"));
  first.reset();
  ASSERT_OK(put(*second, "a", "second"));
}

TEST_F(OwnerServerTest, WhoComesNextNeedNotWaitForTheEndOfWhoWasThere) {
  for (int round = 0; round < 100; ++round) {
    ASSERT_OK(put(*client(), "a", std::to_string(round)));
  }
  ASSERT_OK(operators()->remove("a"));
}

TEST_F(OwnerServerTest, TheStatusNamesSessionsAndWhatTheyWrite) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "b", "x"));
  const auto status = operators()->status();
  ASSERT_OK(status);
  EXPECT_EQ(status->location, "disk");
  EXPECT_FALSE(status->held);
  ASSERT_TRUE(status->image);
  EXPECT_EQ(status->image->generation, writer->state()->generation);
  ASSERT_EQ(status->sessions.size(), 2U);
  EXPECT_EQ(status->sessions[0].number, 1U);
  EXPECT_EQ(status->sessions[0].pid, ::getpid());
  EXPECT_EQ(status->sessions[0].writes, std::vector<std::string>{"b"});
  EXPECT_TRUE(status->sessions[1].writes.empty());
}

TEST_F(OwnerServerTest, AHoldKeepsChangesWaitingAndEndsWithItsTime) {
  const auto owner = operators();
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "before"));
  ASSERT_OK(owner->hold(seconds(10)));
  EXPECT_TRUE(owner->status()->held);
  std::atomic<bool> over = false;
  auto written = std::async(std::launch::async, [&] {
    const Status status = put(*writer, "a", "behind");
    EXPECT_TRUE(over);
    return status;
  });
  EXPECT_EQ(*writer->read_all("a"), bytes("before"));
  clock_.advance(seconds(5));
  ASSERT_OK(owner->hold(seconds(10))); // A new time.
  clock_.advance(seconds(9));
  EXPECT_TRUE(owner->status()->held);
  over = true;
  clock_.advance(seconds(1));
  ASSERT_OK(written.get());
  EXPECT_FALSE(owner->status()->held);
  EXPECT_EQ(*writer->read_all("a"), bytes("behind"));
}

TEST_F(OwnerServerTest, AHoldIsEndedByAWordAndByTheOwnersEnd) {
  const auto writer = client();
  ASSERT_OK(operators()->hold(seconds(10))); // Whoever held it has gone.
  EXPECT_TRUE(*operators()->release());
  ASSERT_OK(put(*writer, "a", "x"));
  const auto released = operators()->release();
  ASSERT_OK(released);
  EXPECT_FALSE(*released);
  EXPECT_KIND(operators()->hold(milliseconds(0)), invalid_argument);
  EXPECT_KIND(operators()->hold(std::chrono::hours(2)), invalid_argument);
  ASSERT_OK(operators()->hold(seconds(10)));
  server_.reset();
  EXPECT_FALSE(keeper_.is_held());
}

TEST_F(OwnerServerTest, ChangesOfASessionThatWaitStayInTheirOrder) {
  const auto writer = link();
  ASSERT_OK(operators()->hold(seconds(10)));
  std::atomic<bool> asked = false;
  auto written = std::async(std::launch::async, [&] {
    return writer->ask<void>([&](rpc::Owner::Client& owner) {
      auto all = kj::heapArrayBuilder<kj::Promise<void>>(50);
      for (int number = 0; number < 50; ++number) {
        auto request = owner.changeRequest();
        auto update = request.initUpdates(1)[0];
        update.setBlob("a");
        const std::string text = std::to_string(number);
        update.setWrite(to_data(bytes(text)));
        all.add(request.send().ignoreResult());
      }
      asked = true;
      return kj::joinPromises(all.finish()).then([] { return Status(); });
    });
  });
  while (!asked) {
    std::this_thread::yield();
  }
  ASSERT_OK(operators()->release());
  ASSERT_OK(written.get());
  EXPECT_EQ(*client()->read_all("a"), bytes("49"));
}

TEST_F(OwnerServerTest, WhatIsReadTogetherIsOfOneMoment) {
  std::atomic<bool> stop = false;
  std::thread writes([&] {
    const auto writer = client();
    for (int number = 1; !stop; ++number) {
      Transaction both;
      const Bytes text = bytes(std::to_string(number));
      both.write("a", text);
      both.write("b", text);
      EXPECT_TRUE(writer->commit(both).ok());
    }
  });
  const auto reader = link();
  for (int round = 0; round < 300; ++round) {
    ASSERT_OK(reader->ask<void>([](rpc::Owner::Client& owner) {
      auto request = owner.readRequest();
      auto ranges = request.initRanges(2);
      for (unsigned index = 0; index < 2; ++index) {
        ranges[index].setBlob(index == 0 ? "a" : "b");
        ranges[index].setWhole();
      }
      return request.send().then([](auto&& answer) {
        const auto contents = answer.getContents();
        EXPECT_EQ(contents.size(), 2U);
        EXPECT_TRUE(contents.size() == 2 && contents[0] == contents[1]);
        return take_status(answer);
      });
    }));
  }
  stop = true;
  writes.join();
}

TEST_F(OwnerServerTest, WhoWaitsForEventsTooOftenIsRefused) {
  const auto session = link();
  EXPECT_KIND(session->ask<void>([](rpc::Owner::Client& owner) {
    auto waiting = kj::heapArrayBuilder<kj::Promise<void>>(8);
    for (int count = 0; count < 8; ++count) {
      waiting.add(owner.watchRequest().send().ignoreResult());
    }
    return owner.watchRequest()
        .send()
        .then([](auto&& answer) { return take_status(answer); })
        .attach(waiting.finish());
  }),
              in_use);
}

TEST_F(OwnerServerTest, AnOwnerThatEndsIsToldOfByEveryCall) {
  const auto waits = client();
  std::promise<ErrorKind> told;
  waits->watch_failures([&](const Error& error) { told.set_value(error.kind()); });
  ASSERT_OK(operators()->hold(seconds(10)));
  auto written = std::async(std::launch::async, [&] { return put(*waits, "a", "x"); });
  server_.reset();
  // The hold ends first: what had come is made, and what had not is not known.
  const Status made = written.get();
  auto store = keeper_.use(StoreGate::Purpose::read);
  ASSERT_OK(store);
  if (made) {
    EXPECT_EQ(*(*store)->read("a"), bytes("x"));
  } else {
    EXPECT_KIND(made, io);
  }
  EXPECT_KIND(put(*waits, "a", "x"), io);
  EXPECT_KIND(waits->flush(), io);
  EXPECT_KIND(waits->state(), io);
  EXPECT_EQ(kind_name(told.get_future().get()), "io");
}

TEST_F(OwnerServerTest, SilentSessionsMakeRoomAndThoseThatWriteDoNot) {
  server_.reset();
  listener_.reset();
  ASSERT_OK(keeper_.detach());
  serve({spec("a", 4096), spec("b", 4096)}, {.clients_max = 3});
  const auto first = client();
  const auto second = client();
  ASSERT_OK(put(*first, "a", "x"));
  ASSERT_OK(put(*second, "b", "x"));
  const auto silent = client();
  for (int count = 0; count < 5; ++count) {
    const auto another = operators();
    ASSERT_TRUE(has_sessions(*another, 3)); // Threads of so many as were to go have an end.
  }
  EXPECT_KIND(silent->state(), io);
  ASSERT_OK(put(*first, "a", "y"));
  ASSERT_OK(put(*second, "b", "y"));
}

TEST_F(OwnerServerTest, NobodyHasARightToABlobThatIsNotThere) {
  const auto first = client();
  EXPECT_KIND(put(*first, "new", "x"), not_found);
  std::vector<NewBlob> large{{spec("huge", 16U << 20U), bytes("content")}};
  const auto hopeful = operators();
  EXPECT_KIND(hopeful->register_blobs(large), too_large);
  const auto second = operators();
  std::vector<NewBlob> blobs{{spec("new", 16), bytes("content")},
                             {spec("huge", 16), bytes("content")}};
  ASSERT_OK(second->register_blobs(blobs));
}

TEST_F(OwnerServerTest, MoreContentThanAMessageHoldsIsTooLargeAndNoLostConnection) {
  const auto owner = operators();
  const std::vector<NewBlob> blobs{{spec("c", 9U << 20U), Bytes(9U << 20U)},
                                   {spec("d", 9U << 20U), Bytes(9U << 20U)}};
  EXPECT_KIND(owner->register_blobs(blobs), too_large);
  ASSERT_OK(owner->status());
}

} // namespace
} // namespace vnvram::test
