// A remote client whose owner dies and comes back.
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "support/sanitizers.h"
#include "unit/client/lasting_client_fixture.h"
#include "unit/client/passage.h"

namespace vnvram::test {
namespace {

using Way = Passage::Way;

TEST_F(LastingClient, GoesOnWithAnOwnerThatIsStartedAgain) {
  ASSERT_OK(write("abc"));
  owner_.kill();
  auto reads = std::async(std::launch::async, [&] { return content(); });
  auto writes = std::async(std::launch::async, [&] {
    return client_->write("b", 0, bytes("x"), Durability::on_return);
  });
  owner_.start();
  EXPECT_EQ(reads.get(), bytes("abc"));
  ASSERT_OK(writes.get());
  EXPECT_EQ(owner_.after_a_cut("b"), bytes("x"));
  owner_.end_in_good_order();
  owner_.start();
  ASSERT_OK(client_->register_blobs(std::vector{spec("c", 16)}));
  owner_.kill();
  owner_.start();
  EXPECT_EQ(client_->blobs()->size(), 3U);
  owner_.kill();
  owner_.start();
  ASSERT_OK(client_->flush());
}

TEST_F(LastingClient, WhatWasDeferredIsThereAgainInOrderAndMadeDurableAsOne) {
  ASSERT_OK(write("0000"));
  ASSERT_OK(client_->write("b", 0, bytes("0"), Durability::on_return));
  ASSERT_OK(write("abcd", Durability::deferred));
  ASSERT_OK(client_->zero("a", 1, 2, Durability::deferred));
  ASSERT_OK(write("x", Durability::deferred, 2));
  ASSERT_OK(client_->write("b", 0, bytes("other"), Durability::deferred));
  owner_.kill();
  EXPECT_EQ(owner_.after_a_cut("a"), bytes("0000"));
  owner_.start();
  const std::uint64_t before = owner_.operators()->status()->image->generation;
  EXPECT_EQ(content(), bytes(std::string_view("a\0xd", 4)));
  EXPECT_EQ(content("b"), bytes("other"));
  EXPECT_EQ(generation(), before + 1);
  EXPECT_EQ(owner_.after_a_cut("a"), bytes(std::string_view("a\0xd", 4)));
  EXPECT_EQ(owner_.after_a_cut("b"), bytes("other"));
}

TEST_F(LastingClient, WhatIsRepeatedMayBeCutOffAgainAndAgain) {
  ASSERT_OK(write("0"));
  ASSERT_OK(write("a", Durability::deferred));
  for (std::size_t number = 1; number < 8; ++number) {
    Passage passage([this] { return owner_.connect(); });
    auto client = lasting(passage.connector());
    ASSERT_OK(client->write("b", 0, bytes("1"), Durability::on_return));
    ASSERT_OK(client->write("b", 0, bytes("2"), Durability::deferred));
    owner_.kill();
    passage.break_all();
    passage.set_fault(
        {.way = Way::to_owner, .number = passage.count(Way::to_owner) + number, .strikes = [this] {
           owner_.kill();
           owner_.start();
         }});
    owner_.start();
    EXPECT_EQ(content_of(*client, "b"), bytes("2"));
    EXPECT_TRUE(passage.has_struck());
    ASSERT_OK(client->flush());
  }
  EXPECT_EQ(content(), bytes("a"));
}

TEST_F(LastingClient, CostsTheDeviceNothingWhileTheOwnerLives) {
  owner_.set_hook([this](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    write_count_ += call == HookedDevice::Call::read ? 0 : 1;
    return Status();
  });
  for (int count = 0; count < 100; ++count) {
    ASSERT_OK(write(std::to_string(count), Durability::deferred));
  }
  EXPECT_EQ(write_count_, 0);
  ASSERT_OK(client_->flush());
  EXPECT_EQ(write_count_, 1);
  ASSERT_OK(client_->flush());
  ASSERT_OK(client_->close());
  EXPECT_EQ(write_count_, 1);
}

TEST_F(LastingClient, WhatIsMoreThanItKeepsIsDurable) {
  const Bytes large(65536, std::byte{7});
  std::uint64_t before = generation();
  for (int count = 0; count < 64 && generation() == before; ++count) {
    ASSERT_OK(client_->write("b", 0, large, Durability::deferred));
  }
  EXPECT_GT(generation(), before);
  owner_.kill();
  owner_.start();
  EXPECT_EQ(content("b"), large);
}

TEST_F(LastingClient, TheOwnerMayDieAtEveryStep) {
  // Over passages that lose a request, or an answer, of an owner that dies or only hangs up.
  for (const Way way : {Way::to_owner, Way::to_client}) {
    for (const bool dies : {true, false}) {
      bool struck = true;
      for (std::size_t number = 1; struck; number += case_step) {
        Owner owner{{spec("a", 4096), spec("b", 65536)}};
        Passage passage([&owner] { return owner.connect(); });
        SCOPED_TRACE("message " + std::to_string(number) + (dies ? ", dies" : ", hangs up"));
        const auto client = lasting(passage.connector());
        passage.set_fault(
            {.way = way, .number = passage.count(way) + number, .strikes = [&owner, dies] {
               if (dies) {
                 owner.kill();
                 owner.start();
               }
             }});
        Bytes a(64);
        Bytes b(256);
        ASSERT_OK(client->write("a", 0, a, Durability::on_return));
        ASSERT_OK(client->write("b", 0, b, Durability::on_return));
        const auto put = [&](Bytes& model, std::string_view blob, std::uint64_t offset_bytes,
                             std::string_view text, Durability durability) {
          std::ranges::copy(bytes(text), model.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
          ASSERT_OK(client->write(blob, offset_bytes, bytes(text), durability));
          ASSERT_EQ(content_of(*client, "a"), a);
          ASSERT_EQ(content_of(*client, "b"), b);
          if (durability == Durability::on_return) {
            ASSERT_EQ(owner.after_a_cut("a"), a);
            ASSERT_EQ(owner.after_a_cut("b"), b);
          }
        };
        put(a, "a", 0, "first", Durability::deferred);
        put(a, "a", 3, "second", Durability::deferred);
        put(b, "b", 9, "third", Durability::on_return);
        put(a, "a", 1, "fourth", Durability::deferred);
        put(b, "b", 9, "fifth", Durability::deferred);
        std::fill_n(b.begin() + 10, 20, std::byte{0});
        ASSERT_OK(client->zero("b", 10, 20, Durability::deferred));
        put(b, "b", 12, "sixth", Durability::deferred);
        Transaction both;
        both.write_range("a", 0, bytes("seventh"));
        both.set_size("b", 100);
        b.resize(100);
        std::ranges::copy(bytes("seventh"), a.begin());
        ASSERT_OK(client->commit(both));
        ASSERT_EQ(owner.after_a_cut("a"), a);
        put(a, "a", 0, "eighth", Durability::deferred);
        ASSERT_OK(client->flush());
        ASSERT_EQ(owner.after_a_cut("a"), a);
        ASSERT_EQ(owner.after_a_cut("b"), b);
        struck = passage.has_struck();
      }
    }
  }
}

TEST_F(LastingClient, WhatHasNoAnswerIsRepeatedInTheOrderOfTheCalls) {
  for (int round = 0; round < 20; ++round) {
    Owner owner{{spec("a", 4096)}};
    Passage passage([&owner] { return owner.connect(); });
    const auto client = lasting(passage.connector());
    ASSERT_OK(client->write("a", 0, bytes("0"), Durability::on_return));
    passage.set_shut(true); // They are carried out, and nobody is told.
    std::vector<std::future<Status>> calls;
    std::size_t count = passage.count(Way::to_owner);
    for (const char* text : {"1", "2", "3", "4"}) {
      calls.push_back(std::async(std::launch::async, [&client, text] {
        return client->write("a", 0, bytes(text), Durability::on_return);
      }));
      passage.wait_for(Way::to_owner, ++count);
    }
    passage.break_all();
    for (auto& call : calls) {
      ASSERT_OK(call.get());
    }
    EXPECT_EQ(content_of(*client, "a"), bytes("4"));
  }
}

// What is kept rests on it (owner.capnp, change()).
TEST_F(LastingClient, WhatIsDeferredIsInTheSecondGenerationBehindItsAnswersAndNotInTheFirst) {
  const auto other = lasting(owner_.connector());
  ASSERT_OK(other->write("b", 0, bytes("0"), Durability::on_return));
  ASSERT_OK(write("old"));
  is_shut_ = true;
  owner_.set_hook([this](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    if (call != HookedDevice::Call::read) {
      ++write_count_;
      write_count_.notify_all();
      is_shut_.wait(true);
    }
    return Status();
  });
  auto first = std::async(std::launch::async,
                          [&] { return other->write("b", 0, bytes("1"), Durability::on_return); });
  write_count_.wait(0);
  const std::uint64_t answered = generation();
  ASSERT_OK(write("new", Durability::deferred));
  is_shut_ = false;
  is_shut_.notify_all();
  ASSERT_OK(first.get());
  EXPECT_EQ(generation(), answered + 1);
  EXPECT_EQ(owner_.after_a_cut("a"), bytes("old"));
  ASSERT_OK(other->write("b", 0, bytes("2"), Durability::on_return));
  EXPECT_EQ(generation(), answered + 2);
  EXPECT_EQ(owner_.after_a_cut("a"), bytes("new"));
}

TEST_F(LastingClient, AnswersMayBeSlow) {
  Passage passage(owner_.connector());
  const auto client = lasting(passage.connector(), impatience);
  passage.set_shut(true);
  auto written = std::async(std::launch::async, [&client] {
    return client->write("b", 0, bytes("slow"), Durability::on_return);
  });
  EXPECT_EQ(written.wait_for(4 * impatience), std::future_status::timeout); // It is not lost.
  passage.set_shut(false);
  ASSERT_OK(written.get());
}

TEST_F(LastingClient, AHoldOfTheNextOwnersIsWaitedFor) {
  const auto client = lasting(owner_.connector(), impatience);
  ASSERT_OK(client->write("b", 0, bytes("old"), Durability::on_return));
  ASSERT_OK(client->write("b", 0, bytes("new"), Durability::deferred));
  owner_.kill();
  owner_.start();
  ASSERT_OK(owner_.operators()->hold(std::chrono::hours(1)));
  auto reads = std::async(std::launch::async, [&] { return content_of(*client, "b"); });
  EXPECT_EQ(reads.wait_for(4 * impatience), std::future_status::timeout);
  EXPECT_EQ(owner_.after_a_cut("b"), bytes("old"));
  ASSERT_OK(owner_.operators()->release());
  EXPECT_EQ(reads.get(), bytes("new"));
}

TEST_F(LastingClient, IsPatientWhileNobodyCalls) {
  const auto client = lasting(owner_.connector(), impatience);
  std::atomic<int> told = 0;
  client->watch_failures([&told](const Error&) { ++told; });
  ASSERT_OK(client->write("a", 0, bytes("x"), Durability::deferred));
  owner_.kill();
  std::this_thread::sleep_for(4 * impatience); // Nothing tells when it has stopped trying.
  EXPECT_EQ(told, 0);
  owner_.start();
  EXPECT_EQ(content_of(*client, "a"), bytes("x"));
}

TEST_F(LastingClient, WhoWatchesBringsBackWhatWasDeferredBeforeAnybodyCalls) {
  std::promise<void> back;
  auto made = RemoteBlobClient::connect({.connect = owner_.connector(),
                                         .patience = patience,
                                         .log = [&](const std::string&) { back.set_value(); }});
  ASSERT_OK(made);
  const auto client = *std::move(made);
  client->watch_failures([](const Error&) {});
  ASSERT_OK(client->write("a", 0, bytes("x"), Durability::deferred));
  owner_.kill();
  owner_.start();
  back.get_future().wait();
  EXPECT_EQ(owner_.after_a_cut("a"), bytes("x"));
}

TEST_F(LastingClient, WhoWatchesGoesOnWithTheNextOwner) {
  Owner owner({spec("a", 4096)}, std::chrono::microseconds(1));
  const auto client = lasting(owner.connector());
  std::promise<Error> told;
  std::atomic<int> count = 0;
  client->watch_failures([&](const Error& error) {
    if (count++ == 0) {
      told.set_value(error);
    }
  });
  ASSERT_OK(client->write("a", 0, bytes("old"), Durability::on_return));
  owner.kill();
  owner.start();
  ASSERT_OK(client->write("a", 0, bytes("new"), Durability::on_return));
  EXPECT_EQ(count, 0); // A loss is none of its business.
  owner.set_hook([](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    return call == HookedDevice::Call::read ? Status() : Error(ErrorKind::io, "hooked: broken");
  });
  ASSERT_OK(client->write("a", 0, bytes("lost"), Durability::deferred));
  EXPECT_NE(told.get_future().get().text().find("hooked"), std::string::npos);
}

} // namespace
} // namespace vnvram::test
