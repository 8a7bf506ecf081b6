// What an owner grants its sessions, and what they cannot do to each other.
#include "serve/owner_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <functional>
#include <future>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <capnp/any.h>

#include "device/forwarding_device.h"
#include "rpc/polled_stream.h"
#include "rpc/wire.h"
#include "support/thread_sanitizer.h"
#include "unit/serve/served_image.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OwnerServerTest : public ServedImage {
protected:
  void SetUp() override { serve({spec("a", 4096), spec("b", 65536), spec("tpm2.state", 4096)}); }

  static Status put(BlobClient& client, std::string_view blob, std::string_view text) {
    return client.write(blob, 0, bytes(text), Durability::on_return);
  }
  static Transaction of(std::string_view blob, std::string_view text) {
    Transaction transaction;
    transaction.write(blob, bytes(text));
    return transaction;
  }
};

kj::Promise<Status> change(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.changeRequest();
  auto update = request.initUpdates(1)[0];
  update.setBlob(blob);
  update.setWrite(to_data(bytes("x")));
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

kj::Promise<Status> read(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.readRequest();
  auto range = request.initRanges(1)[0];
  range.setBlob(blob);
  range.setWhole();
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

kj::Promise<Status> info(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.infoRequest();
  request.setBlob(blob);
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

kj::Promise<Status> register_blob(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.registerRequest();
  write_spec(request.initBlobs(1)[0].initSpec(), spec(blob, 16));
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

struct Asked {
  std::string blob;
  bool is_prefix = false;
  bool writes = false;
  bool registers = false;
};

rpc::Blobs::Client narrowed(rpc::Blobs::Client blobs, const std::vector<Asked>& grants) {
  auto request = blobs.narrowRequest();
  auto list = request.initGrants(static_cast<unsigned>(grants.size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    if (grants[index].is_prefix) {
      list[index].setPrefix(grants[index].blob);
    } else {
      list[index].setBlob(grants[index].blob);
    }
    list[index].setWrite(grants[index].writes);
    list[index].setRegister(grants[index].registers);
  }
  return request.send().getBlobs();
}

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
  while (waits->state()->generation == 0) {
    std::this_thread::yield();
  }
  server_.reset();
  const Status status = written.get(); // It may have got through when the hold ended.
  EXPECT_TRUE(status.ok() || status.error().kind() == ErrorKind::io);
  EXPECT_KIND(put(*waits, "a", "x"), io);
  EXPECT_KIND(waits->flush(), io);
  EXPECT_KIND(waits->state(), io);
  EXPECT_EQ(kind_name(told.get_future().get()), "io");
}

TEST_F(OwnerServerTest, NonsenseCostsNobodyElseAnything) {
  const auto other = client();
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const UniqueFd hostile = socket();
    Bytes nonsense(1 + random() % 200);
    for (std::byte& byte : nonsense) {
      byte = static_cast<std::byte>(round % 2 == 0 ? random() : random() % 3);
    }
    (void)::send(hostile.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL);
    ASSERT_OK(put(*other, "a", std::to_string(round)));
  }
}

// What a client says to the owner, as it passes by.
class Recorder {
public:
  explicit Recorder(UniqueFd owner) : owner_(std::move(owner)) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_ = UniqueFd(ends[0]);
    passage_ = UniqueFd(ends[1]);
    to_owner_ = std::thread([this] { pass_on(passage_, owner_, &said_); });
    from_owner_ = std::thread([this] { pass_on(owner_, passage_, nullptr); });
  }
  [[nodiscard]] UniqueFd take_client() { return std::move(client_); }
  /// When the client has gone.
  [[nodiscard]] Bytes said() {
    to_owner_.join();
    from_owner_.join();
    return said_;
  }

private:
  static void pass_on(const UniqueFd& from, const UniqueFd& to, Bytes* said) {
    Bytes buffer(4096);
    for (;;) {
      const std::ptrdiff_t count = ::recv(from.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        break;
      }
      if (said != nullptr) {
        said->insert(said->end(), buffer.begin(), buffer.begin() + count);
      }
      (void)::send(to.get(), buffer.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL);
    }
    ::shutdown(to.get(), SHUT_WR);
  }

  UniqueFd owner_;
  UniqueFd client_;
  UniqueFd passage_;
  Bytes said_;
  std::thread to_owner_;
  std::thread from_owner_;
};

TEST_F(OwnerServerTest, WhoTakesNoAnswersIsNotListenedTo) {
  const auto other = client();
  ASSERT_OK(other->write("b", 0, Bytes(65536), Durability::on_return));
  Recorder recorder(socket());
  {
    auto client = RemoteBlobClient::connect(recorder.take_client());
    ASSERT_OK(client);
    for (int count = 0; count < 20; ++count) {
      ASSERT_OK((*client)->read_all("b"));
    }
  }
  const Bytes said = recorder.said();
  const UniqueFd greedy = socket();
  // What is between the two: the sockets' buffers, a piece that was read ahead, one answer.
  constexpr std::size_t sent_max_bytes = std::size_t{600} << 10U;
  constexpr int stuck_after_ms = 2000; // On a busy machine it may be slow instead: no failure.
  std::size_t sent_bytes = 0;
  for (std::size_t at = 0; sent_bytes < sent_max_bytes;) {
    const std::ptrdiff_t count =
        ::send(greedy.get(), said.data() + at, said.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) {
      pollfd entry{.fd = greedy.get(), .events = POLLOUT, .revents = 0};
      if (::poll(&entry, 1, stuck_after_ms) == 0) {
        break;
      }
    } else {
      ASSERT_GT(count, 0);
      at = (at + static_cast<std::size_t>(count)) % said.size();
      sent_bytes += static_cast<std::size_t>(count);
    }
  }
  EXPECT_LT(sent_bytes, sent_max_bytes);
  ASSERT_OK(put(*other, "a", "x"));
}

TEST_F(OwnerServerTest, AConversationWithErrorsInItCostsNobodyElseAnything) {
  Recorder recorder(socket());
  {
    auto client = RemoteBlobClient::connect(recorder.take_client());
    ASSERT_OK(client);
    ASSERT_OK((*client)->blobs());
    ASSERT_OK(put(**client, "b", "what is written"));
    ASSERT_OK((*client)->write("b", 3, bytes("deferred"), Durability::deferred));
    ASSERT_OK((*client)->register_blobs(std::vector{spec("more", 100)}));
    ASSERT_OK((*client)->read_all("b"));
    ASSERT_OK((*client)->flush());
  }
  const Bytes said = recorder.said();
  ASSERT_GT(said.size(), 500U);
  const auto other = client();
  const auto owner = operators();
  std::mt19937 random(2);
  for (std::uint64_t round = 0; round < cases(600); ++round) {
    Bytes wrong = said;
    for (auto errors = 1 + random() % 3; errors > 0; --errors) {
      wrong[random() % wrong.size()] = static_cast<std::byte>(random());
    }
    if (round % 4 == 0) {
      wrong.resize(random() % wrong.size());
    }
    const UniqueFd hostile = socket();
    (void)::send(hostile.get(), wrong.data(), wrong.size(), MSG_NOSIGNAL);
    ::shutdown(hostile.get(), SHUT_WR);
    Bytes answers(65536);
    while (::recv(hostile.get(), answers.data(), answers.size(), 0) > 0) {
    }
    ASSERT_OK(owner->release()); // It may have become a hold.
    ASSERT_OK(other->state());
  }
  ASSERT_OK(put(*other, "a", "still here"));
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
    ASSERT_OK(client()->state());
  }
  EXPECT_KIND(silent->state(), io);
  ASSERT_OK(put(*first, "a", "y"));
  ASSERT_OK(put(*second, "b", "y"));
}

/// A session whose messages go and come when the test says so.
class RawSession {
public:
  explicit RawSession(UniqueFd socket) : socket_(std::move(socket)), stream_(socket_.get()) {
    const kj::WaitScope scope(loop_);
    client_.emplace(stream_);
    owner_.emplace(client_->bootstrap().castAs<rpc::Owner>());
  }
  RawSession(const RawSession&) = delete;
  RawSession& operator=(const RawSession&) = delete;
  ~RawSession() {
    const kj::WaitScope scope(loop_);
    asked_.clear();
    owner_.reset();
    client_.reset();
  }

  [[nodiscard]] int socket() const { return socket_.get(); }
  /// Something is not sent yet, because the other end takes nothing.
  [[nodiscard]] bool has_output() const { return stream_.has_output(); }
  [[nodiscard]] std::size_t answer_count() const { return answer_count_; }
  template <typename Call> void ask(Call call) {
    kj::WaitScope scope(loop_);
    asked_.push_back(call(*owner_)
                         .then([this](auto&&) { ++answer_count_; })
                         .eagerlyEvaluate([](const kj::Exception&) {}));
    scope.poll();
    stream_.send_output();
  }
  /// Until it is done, or for so long.
  bool go_on(milliseconds duration, const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + duration;
    kj::WaitScope scope(loop_);
    while (!done() && std::chrono::steady_clock::now() < until) {
      pollfd entry{.fd = socket_.get(), .events = stream_.poll_events(), .revents = 0};
      (void)::poll(&entry, 1, 10);
      stream_.advance();
      scope.poll();
    }
    return done();
  }

private:
  const UniqueFd socket_;
  kj::EventLoop loop_;
  PolledStream stream_;
  std::optional<capnp::TwoPartyClient> client_;
  std::optional<rpc::Owner::Client> owner_;
  std::vector<kj::Promise<void>> asked_;
  std::size_t answer_count_ = 0;
};

/// Of 8 MiB, which is more than any blob there takes: found when its turn comes.
void ask_for_large_changes(RawSession& session, std::size_t count) {
  static const Bytes large(8U << 20U);
  for (std::size_t number = 0; number < count; ++number) {
    session.ask([](rpc::Owner::Client& owner) {
      auto request = owner.changeRequest();
      auto update = request.initUpdates(1)[0];
      update.setBlob("b");
      update.setWrite(to_data(large));
      return request.send();
    });
  }
}

/// Within half a second of this process.
bool somebody_spins() {
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(milliseconds(500));
  return std::clock() - before > CLOCKS_PER_SEC / 5;
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

TEST_F(OwnerServerTest, AHolderThatIsOnlyHalfGoneIsInUseAndNotWaitedFor) {
  RawSession half(socket());
  half.ask([](rpc::Owner::Client& owner) { return change(owner, "a"); });
  ASSERT_TRUE(half.go_on(seconds(5), [&] { return half.answer_count() == 1; }));
  half.ask([](rpc::Owner::Client& owner) {
    auto request = owner.readRequest(); // More than a socket holds, and nobody takes it.
    for (auto range : request.initRanges(100)) {
      range.setBlob("b");
      range.initPart().setLengthBytes(65536);
    }
    return request.send();
  });
  std::this_thread::sleep_for(milliseconds(100));
  ::shutdown(half.socket(), SHUT_WR);
  const auto other = client();
  auto written = std::async(std::launch::async, [&] { return put(*other, "a", "x"); });
  EXPECT_EQ(written.wait_for(seconds(3)), std::future_status::ready);
  ::shutdown(half.socket(), SHUT_RDWR);
  EXPECT_KIND(written.get(), in_use);
}

TEST_F(OwnerServerTest, ChangesThatWaitDoNotPileUp) {
  ASSERT_OK(operators()->hold(seconds(10)));
  RawSession flood(socket());
  ask_for_large_changes(flood, 8);
  // Longer than a message may be unfinished for: this one's sender cannot help it.
  EXPECT_FALSE(flood.go_on(seconds(4), [&] { return !flood.has_output(); }));
  EXPECT_FALSE(somebody_spins());
  ASSERT_OK(operators()->release());
  EXPECT_TRUE(flood.go_on(seconds(20), [&] { return flood.answer_count() == 8; }));
}

TEST_F(OwnerServerTest, WhoHasGoneWhileNothingWasTakenFromItIsForgottenLater) {
  ASSERT_OK(operators()->hold(seconds(10)));
  {
    RawSession flood(socket());
    ask_for_large_changes(flood, 8);
    flood.go_on(seconds(2), [&] { return !flood.has_output(); });
  }
  EXPECT_FALSE(somebody_spins());
  const auto owner = operators();
  ASSERT_OK(owner->release());
  const auto until = std::chrono::steady_clock::now() + seconds(10);
  while (owner->status()->sessions.size() > 1 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(owner->status()->sessions.size(), 1U);
}

// Elements without any content cost a message nothing, however many they are.
TEST_F(OwnerServerTest, AListOfNothingsIsRefused) {
  const auto session = link();
  constexpr unsigned count = 2'000'000;
  const auto nothings = [](auto params) {
    capnp::AnyStruct::Builder(kj::mv(params))
        .getPointerSection()[0]
        .initAsListOfAnyStruct(0, 0, count);
  };
  const auto ask = [&](auto make) {
    return session->ask<void>([&](rpc::Owner::Client& owner) {
      auto request = make(owner);
      nothings(typename decltype(request)::Builder(request));
      return request.send().then([](auto&& answer) { return take_status(answer); });
    });
  };
  EXPECT_KIND(ask([](auto& owner) { return owner.changeRequest(); }), too_large);
  EXPECT_KIND(ask([](auto& owner) { return owner.readRequest(); }), too_large);
  EXPECT_KIND(ask([](auto& owner) { return owner.registerRequest(); }), too_large);
  EXPECT_KIND(ask([](auto& owner) { return owner.narrowRequest(); }), too_large);
}

TEST_F(OwnerServerTest, ASessionNarrowsItsRightsSoOftenAndNotMore) {
  const auto session = link();
  const auto narrow = [&](unsigned count) {
    Status last;
    return session->ask<void>([&](rpc::Owner::Client& owner) {
      auto all = kj::heapArrayBuilder<kj::Promise<void>>(count);
      std::vector<rpc::Blobs::Client> kept;
      for (unsigned number = 0; number < count; ++number) {
        auto asked = owner.narrowRequest().send();
        kept.push_back(asked.getBlobs());
        all.add(asked.then([&last](auto&& answer) { last = take_status(answer); }));
      }
      return kj::joinPromises(all.finish()).then([&last] { return last; }).attach(kj::mv(kept));
    });
  };
  ASSERT_OK(narrow(64));
  EXPECT_KIND(narrow(65), in_use);
  ASSERT_OK(narrow(64)); // Those before are gone.
}

TEST_F(OwnerServerTest, NonsenseEndsItsSessionAlsoWhileItsChangesWait) {
  const auto owner = operators();
  ASSERT_OK(owner->hold(seconds(10)));
  RawSession hostile(socket());
  hostile.ask([](rpc::Owner::Client& asked) { return change(asked, "a"); });
  const Bytes nonsense(64, std::byte{0xff});
  ASSERT_EQ(::send(hostile.socket(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL), 64);
  const auto until = std::chrono::steady_clock::now() + seconds(10);
  while (owner->status()->sessions.size() > 1 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(owner->status()->sessions.size(), 1U);
  ASSERT_OK(owner->release());
  ASSERT_OK(put(*client(), "a", "x"));
}

TEST_F(OwnerServerTest, MoreContentThanAMessageHoldsIsTooLargeAndNoLostConnection) {
  const auto owner = operators();
  const std::vector<NewBlob> blobs{{spec("c", 9U << 20U), Bytes(9U << 20U)},
                                   {spec("d", 9U << 20U), Bytes(9U << 20U)}};
  EXPECT_KIND(owner->register_blobs(blobs), too_large);
  ASSERT_OK(owner->status());
}

TEST_F(OwnerServerTest, WhoIsRefusedToWaitForEventsAsksNoMore) {
  const auto session = link();
  std::vector<kj::Promise<void>> waiting;
  ASSERT_OK(session->ask<void>([&](rpc::Owner::Client& owner) {
    for (int count = 0; count < 8; ++count) {
      waiting.push_back(owner.watchRequest().send().ignoreResult().eagerlyEvaluate(nullptr));
    }
    return owner.stateRequest().send().then([](auto&& answer) { return take_status(answer); });
  }));
  std::atomic<int> told = 0;
  ASSERT_OK(session->follow_failures([&](const Error&) { ++told; }));
  EXPECT_FALSE(somebody_spins());
  EXPECT_EQ(told, 1);
  ASSERT_OK(session->ask<void>([&](rpc::Owner::Client& owner) {
    waiting.clear();
    return owner.stateRequest().send().then([](auto&& answer) { return take_status(answer); });
  }));
}

/// Writes wait while it is shut.
class ShutDevice final : public ForwardingDevice {
public:
  ShutDevice(std::unique_ptr<BlockDevice> inner, std::atomic<bool>& shut)
      : ForwardingDevice(*inner), inner_(std::move(inner)), shut_(shut) {}

  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    shut_.wait(true);
    return ForwardingDevice::write(offset_bytes, data);
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    shut_.wait(true);
    return ForwardingDevice::write_durable(offset_bytes, data);
  }

private:
  const std::unique_ptr<BlockDevice> inner_;
  std::atomic<bool>& shut_;
};

class OwnerOfASlowDeviceTest : public ServedImage {
protected:
  std::unique_ptr<BlockDevice> opened(std::unique_ptr<BlockDevice> device) override {
    return std::make_unique<ShutDevice>(std::move(device), shut_);
  }
  void TearDown() override {
    open_device_again();
    ServedImage::TearDown();
  }
  void open_device_again() {
    shut_ = false;
    shut_.notify_all();
  }

  std::atomic<bool> shut_ = false;
};

TEST_F(OwnerOfASlowDeviceTest, AChangeThatWaitsForItsRightMayLookForItAsOftenAsItTakes) {
  disk_size_bytes_ = std::uint64_t{32} << 20U;
  serve({spec("a", 1U << 20U)});
  {
    RawSession holder(socket());
    shut_ = true;
    holder.ask([](rpc::Owner::Client& owner) { return change(owner, "a"); });
    holder.go_on(milliseconds(200), [] { return false; });
  }
  const auto next = client();
  auto written = std::async(std::launch::async, [&] {
    Transaction transaction;
    transaction.write("a", Bytes(1U << 20U, std::byte{1}));
    const auto made = next->commit(transaction);
    return made ? Status() : made.error();
  });
  for (int count = 0; count < 40; ++count) {
    ASSERT_OK(client()->state()); // Whoever ends may have had the right.
    std::this_thread::sleep_for(milliseconds(5));
  }
  open_device_again();
  ASSERT_OK(written.get());
}

TEST_F(OwnerOfASlowDeviceTest, SessionsThatWaitForTheDeviceAreNotMoreAndMore) {
  serve({spec("a", 4096)}, {.clients_max = 4});
  shut_ = true;
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  const auto before = threads();
  for (int count = 0; count < 40; ++count) {
    RawSession session(socket());
    session.ask([&](rpc::Owner::Client& asked) {
      return register_blob(asked, "b" + std::to_string(count));
    });
    session.go_on(milliseconds(20), [] { return false; });
  }
  EXPECT_LE(threads() - before, 10);
  open_device_again();
}

} // namespace
} // namespace vnvram::test
