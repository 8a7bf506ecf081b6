// Sessions that send nonsense, too much, or nothing more: what they cost others.
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <ctime>
#include <future>
#include <random>
#include <thread>

#include <capnp/any.h>

#include "rpc/lane_frame.h"
#include "support/sanitizers.h"
#include "unit/serve/raw_session.h"
#include "unit/serve/recorder.h"
#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HostileSessionTest : public ServedImage {
protected:
  void SetUp() override { serve({spec("a", 4096), spec("b", 65536)}); }
};

TEST_F(HostileSessionTest, NonsenseCostsNobodyElseAnything) {
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

TEST_F(HostileSessionTest, WhoTakesNoAnswersIsNotListenedTo) {
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

TEST_F(HostileSessionTest, AConversationWithErrorsInItCostsNobodyElseAnything) {
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

TEST_F(HostileSessionTest, AHolderThatIsOnlyHalfGoneIsInUseAndNotWaitedFor) {
  RawSession half(socket());
  half.ask([](rpc::Owner::Client& owner) { return change(owner, "a"); });
  ASSERT_TRUE(half.go_on(seconds(60), [&] { return half.answer_count() == 1; }));
  half.ask([](rpc::Owner::Client& owner) {
    auto request = owner.readRequest(); // More than a socket holds, and nobody takes it.
    for (auto range : request.initRanges(100)) {
      range.setBlob("b");
      range.initPart().setLengthBytes(65536);
    }
    return request.send();
  });
  ::shutdown(half.socket(), SHUT_WR); // Which the owner reads behind what it was asked.
  const auto other = client();
  auto written = std::async(std::launch::async, [&] { return put(*other, "a", "x"); });
  EXPECT_EQ(written.wait_for(seconds(60)), std::future_status::ready);
  ::shutdown(half.socket(), SHUT_RDWR);
  EXPECT_KIND(written.get(), in_use);
}

TEST_F(HostileSessionTest, ChangesThatWaitDoNotPileUp) {
  ASSERT_OK(operators()->hold(seconds(10)));
  RawSession flood(socket());
  ask_for_large_changes(flood, 8);
  // Longer than a message may be unfinished for: this one's sender cannot help it.
  EXPECT_FALSE(flood.go_on(seconds(4), [&] { return !flood.has_output(); }));
  EXPECT_FALSE(somebody_spins());
  ASSERT_OK(operators()->release());
  EXPECT_TRUE(flood.go_on(seconds(20), [&] { return flood.answer_count() == 8; }));
}

TEST_F(HostileSessionTest, WhoHasGoneWhileNothingWasTakenFromItIsForgottenLater) {
  ASSERT_OK(operators()->hold(seconds(10)));
  {
    RawSession flood(socket());
    ask_for_large_changes(flood, 8);
    flood.go_on(seconds(2), [&] { return !flood.has_output(); });
  }
  EXPECT_FALSE(somebody_spins());
  const auto owner = operators();
  ASSERT_OK(owner->release());
  EXPECT_TRUE(has_sessions(*owner, 1));
}

TEST_F(HostileSessionTest, WhoseCallsWaitMayGoOrTalkNonsenseAndCostsNoTime) {
  for (const bool goes : {true, false}) {
    ASSERT_OK(operators()->hold(seconds(60)));
    RawSession flood(socket());
    ask_for_large_changes(flood, 2);
    ASSERT_TRUE(flood.go_on(seconds(60), [&] { return !flood.has_output(); }));
    if (goes) {
      ::shutdown(flood.socket(), SHUT_WR);
    } else { // A change by a lane that nobody has opened.
      const auto header = make_lane_frame_header(1);
      ASSERT_EQ(::send(flood.socket(), header.data(), header.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(header.size()));
    }
    EXPECT_FALSE(somebody_spins());
    const auto owner = operators();
    ASSERT_OK(owner->release());
    ::shutdown(flood.socket(), SHUT_RDWR);
    EXPECT_TRUE(has_sessions(*owner, 1));
  }
}

// Elements without any content cost a message nothing, however many they are.
TEST_F(HostileSessionTest, AListOfNothingsIsRefused) {
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

TEST_F(HostileSessionTest, ASessionNarrowsItsRightsSoOftenAndNotMore) {
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

TEST_F(HostileSessionTest, NonsenseEndsItsSessionAlsoWhileItsChangesWait) {
  const auto owner = operators();
  ASSERT_OK(owner->hold(seconds(10)));
  RawSession hostile(socket());
  hostile.ask([](rpc::Owner::Client& asked) { return change(asked, "a"); });
  ASSERT_TRUE(has_sessions(*owner, 2));
  const Bytes nonsense(64, std::byte{0xff});
  ASSERT_EQ(::send(hostile.socket(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL), 64);
  EXPECT_TRUE(has_sessions(*owner, 1));
  ASSERT_OK(owner->release());
  ASSERT_OK(put(*client(), "a", "x"));
}

TEST_F(HostileSessionTest, WhoIsRefusedToWaitForEventsAsksNoMore) {
  const auto session = link();
  std::vector<kj::Promise<void>> waiting;
  ASSERT_OK(session->ask<void>([&](rpc::Owner::Client& owner) {
    for (int count = 0; count < 8; ++count) {
      waiting.push_back(owner.watchRequest().send().ignoreResult().eagerlyEvaluate(nullptr));
    }
    return owner.stateRequest().send().then([](auto&& answer) { return take_status(answer); });
  }));
  std::atomic<int> told = 0;
  const auto follows = std::async(std::launch::async, [&] {
    session->follow_failures(0, [&](const Error&) {
      ++told;
      told.notify_all();
    });
  });
  told.wait(0);
  EXPECT_FALSE(somebody_spins());
  EXPECT_EQ(told, 1);
  session->stop_following();
  ASSERT_OK(session->ask<void>([&](rpc::Owner::Client& owner) {
    waiting.clear();
    return owner.stateRequest().send().then([](auto&& answer) { return take_status(answer); });
  }));
}

} // namespace
} // namespace vnvram::test
