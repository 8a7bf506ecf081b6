// Deferred writes whose answer nobody waits for.
#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "rpc/remote_blob_client.h"
#include "support/expect_status.h"
#include "unit/client/mortal_owner.h"
#include "unit/client/passage.h"
#include "unit/client/patience.h"

namespace vnvram::test {
namespace {

using Way = Passage::Way;

constexpr std::chrono::hours long_enough{1};

class PostedWrites : public ::testing::Test {
protected:
  void SetUp() override {
    client_ = connect([this] { return owner_.connect(); });
    ASSERT_OK(write(std::string(64, '.'), Durability::on_return));
  }
  void TearDown() override { client_.reset(); }

  static std::unique_ptr<RemoteBlobClient> connect(Connector connector) {
    auto made = RemoteBlobClient::connect({.connect = std::move(connector), .patience = patience});
    EXPECT_TRUE(made.ok()) << made.error().text();
    return *std::move(made);
  }
  Status write(std::string_view text, Durability durability = Durability::deferred,
               std::uint64_t offset_bytes = 0) {
    return client_->write("a", offset_bytes, bytes(text), durability);
  }
  static std::string start_of(BlobClient& client, std::size_t length_bytes) {
    std::string text(length_bytes, '?');
    EXPECT_OK(client.read("a", 0, std::as_writable_bytes(std::span(text))));
    return text;
  }
  void hold() { ASSERT_OK(owner_.operators()->hold(long_enough)); }
  void release() { ASSERT_OK(owner_.operators()->release()); }
  void poison() {
    owner_.set_hook([](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
      return call == HookedDevice::Call::read ? Status() : Error(ErrorKind::io, "hooked: broken");
    });
    const auto other = connect([this] { return owner_.connect(); });
    EXPECT_KIND(other->write("b", 0, bytes("x"), Durability::on_return), io);
  }

  MortalOwner owner_{{spec("a", 4096), spec("b", 65536)}};
  std::unique_ptr<RemoteBlobClient> client_;
};

TEST_F(PostedWrites, AreDoneBeforeTheOwnerHasAnswered) {
  hold(); // It answers no change.
  ASSERT_OK(write("abc"));
  ASSERT_OK(client_->zero("a", 1, 1, Durability::deferred));
  ASSERT_OK(write("d", Durability::deferred, 2));
  release();
  EXPECT_EQ(start_of(*client_, 3), std::string("a\0d", 3));
  ASSERT_OK(client_->flush());
  EXPECT_EQ(owner_.after_a_cut("a")[2], std::byte{'d'});
}

TEST_F(PostedWrites, WhoReadsSeesThem) {
  hold();
  ASSERT_OK(write("abc"));
  auto reads = std::async(std::launch::async, [&] { return start_of(*client_, 3); });
  auto reads_all = std::async(std::launch::async, [&] { return client_->read_all("a"); });
  EXPECT_EQ(reads.wait_for(impatience), std::future_status::timeout);
  EXPECT_EQ(reads_all.wait_for(impatience), std::future_status::timeout);
  release();
  EXPECT_EQ(reads.get(), "abc");
  EXPECT_EQ(reads_all.get()->front(), std::byte{'a'});
}

TEST_F(PostedWrites, WhenTooManyHaveNoAnswerTheNextOneWaits) {
  hold();
  auto writes = std::async(std::launch::async, [&] {
    for (int count = 0; count < 1000; ++count) {
      EXPECT_OK(write(std::to_string(count)));
    }
  });
  EXPECT_EQ(writes.wait_for(impatience), std::future_status::timeout);
  release();
  writes.get();
  EXPECT_EQ(start_of(*client_, 3), "999");
}

TEST_F(PostedWrites, LargeOnesFitIntoTheSocketOrAreWaitedFor) {
  const Bytes large(65536, std::byte{7});
  ASSERT_OK(client_->write("b", 0, large, Durability::on_return));
  hold();
  auto writes = std::async(std::launch::async, [&] {
    for (int count = 0; count < 32; ++count) {
      EXPECT_OK(client_->write("b", 0, Bytes(65536, static_cast<std::byte>(count)),
                               Durability::deferred));
    }
  });
  EXPECT_EQ(writes.wait_for(impatience), std::future_status::timeout);
  release();
  writes.get();
  EXPECT_EQ(client_->read_all("b")->back(), std::byte{31});
}

TEST_F(PostedWrites, AFlushMakesThemDurable) {
  for (int round = 0; round < 200; ++round) {
    const std::string text = std::to_string(1000 + round);
    ASSERT_OK(write("old!"));
    ASSERT_OK(write(text));
    ASSERT_OK(client_->flush());
    const Bytes found = owner_.after_a_cut("a");
    ASSERT_EQ(Bytes(found.begin(), found.begin() + 4), bytes(text));
  }
}

TEST_F(PostedWrites, AreThereAlthoughTheOwnerDiesBeforeItTakesThem) {
  hold();
  ASSERT_OK(write("abc"));
  ASSERT_OK(write("x", Durability::deferred, 1));
  owner_.kill();
  owner_.start();
  EXPECT_EQ(start_of(*client_, 3), "axc");
}

TEST_F(PostedWrites, TheOwnerMayDieAtEachOfThem) {
  for (const Way way : {Way::to_owner, Way::to_client}) {
    for (std::size_t number = 1; number <= 12; ++number) {
      SCOPED_TRACE(number);
      MortalOwner owner{{spec("a", 4096)}};
      Passage passage([&owner] { return owner.connect(); });
      const auto client = connect(passage.connector());
      ASSERT_OK(client->write("a", 0, Bytes(64), Durability::on_return));
      passage.set_fault({.way = way, .number = passage.count(way) + number, .strikes = [&owner] {
                           owner.kill();
                           owner.start();
                         }});
      for (int count = 0; count < 10; ++count) {
        ASSERT_OK(client->write("a", 0, bytes(std::to_string(10 + count)), Durability::deferred));
        ASSERT_OK(client->write("a", 1, bytes("x" + std::to_string(count)), Durability::deferred));
      }
      EXPECT_EQ(start_of(*client, 3), "1x9");
      ASSERT_OK(client->flush());
      EXPECT_EQ(owner.after_a_cut("a")[2], std::byte{'9'});
    }
  }
}

// Its machine goes on with the next front end, and has been told that they are done.
TEST_F(PostedWrites, AreDoneAlthoughTheirFrontEndIsGone) {
  for (int round = 0; round < 50; ++round) {
    for (int count = 0; count < 40; ++count) {
      ASSERT_OK(write(std::to_string(100 * round + count) + " "));
    }
    client_ = connect([this] { return owner_.connect(); });
    ASSERT_OK(client_->claim({"a"})); // Whoever comes next waits for the end of the one before.
    const std::string last = std::to_string(100 * round + 39) + " ";
    ASSERT_EQ(start_of(*client_, last.size()), last);
    ASSERT_OK(write(std::string(64, '.'), Durability::on_return));
  }
}

TEST_F(PostedWrites, AreDoneAfterAHoldAlthoughTheirFrontEndIsGone) {
  hold();
  for (int count = 0; count < 40; ++count) {
    ASSERT_OK(write(std::to_string(count)));
  }
  client_ = connect([this] { return owner_.connect(); });
  auto claims = std::async(std::launch::async, [&] { return client_->claim({"a"}); });
  EXPECT_EQ(claims.wait_for(impatience), std::future_status::timeout);
  release();
  ASSERT_OK(claims.get());
  EXPECT_EQ(start_of(*client_, 2), "39");
}

TEST_F(PostedWrites, AreDoneThoughTheNextHoldBeginsInTheMiddle) {
  for (int round = 0; round < 60; ++round) {
    hold();
    for (int count = 0; count < 60; ++count) {
      ASSERT_OK(write(std::to_string(1000 * round + count) + " "));
    }
    client_ = connect([this] { return owner_.connect(); });
    const auto operators = owner_.operators();
    for (int again = 0; again < 3; ++again) {
      ASSERT_OK(operators->release());
      ASSERT_OK(operators->hold(long_enough));
    }
    ASSERT_OK(operators->release());
    ASSERT_OK(client_->claim({"a"}));
    const std::string last = std::to_string(1000 * round + 59) + " ";
    ASSERT_EQ(start_of(*client_, last.size()), last);
    ASSERT_OK(write(std::string(64, '.'), Durability::on_return));
  }
}

TEST_F(PostedWrites, AHoldHasAllThatWereDoneBeforeIt) {
  for (int round = 0; round < 100; ++round) {
    for (int count = 0; count < 30; ++count) {
      ASSERT_OK(write(std::to_string(1000 + count)));
    }
    hold();
    const Bytes found = owner_.after_a_cut("a");
    ASSERT_EQ(Bytes(found.begin(), found.begin() + 4), bytes("1029"));
    release();
    ASSERT_OK(write("...."));
  }
}

TEST_F(PostedWrites, AnOwnerThatEndsInGoodOrderHasAllThatWereDone) {
  for (const bool held : {false, true}) {
    for (int round = 0; round < 20; ++round) {
      if (held) {
        hold();
      }
      for (int count = 0; count < 60; ++count) {
        ASSERT_OK(write(std::to_string(1000 + count)));
      }
      client_.reset(); // With it goes who would repeat them.
      owner_.end_in_good_order();
      const Bytes found = owner_.after_a_cut("a");
      ASSERT_EQ(Bytes(found.begin(), found.begin() + 4), bytes("1059"));
      owner_.start();
      client_ = connect([this] { return owner_.connect(); });
      ASSERT_OK(write(std::string(64, '.'), Durability::on_return));
    }
  }
}

TEST_F(PostedWrites, AnOwnerThatEndsInGoodOrderHasThoseBehindACall) {
  const std::string rest(1000, '.'); // More in all than is taken at once.
  ASSERT_OK(write(rest, Durability::on_return));
  std::atomic<int> write_count = 0;
  std::atomic<bool> is_shut = true;
  owner_.set_hook([&](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    if (call != HookedDevice::Call::read) {
      ++write_count;
      write_count.notify_all();
      is_shut.wait(true);
    }
    return Status();
  });
  auto busy = std::async(std::launch::async,
                         [&] { return client_->write("b", 0, bytes("x"), Durability::on_return); });
  write_count.wait(0);
  auto asked = std::async(std::launch::async, [&] { return client_->state().ok(); });
  EXPECT_EQ(asked.wait_for(impatience), std::future_status::timeout);
  for (int count = 0; count < 60; ++count) {
    ASSERT_OK(write(std::to_string(1000 + count) + rest.substr(4)));
  }
  auto ended = std::async(std::launch::async, [&] { owner_.end_in_good_order(); });
  EXPECT_EQ(ended.wait_for(impatience), std::future_status::timeout);
  is_shut = false;
  is_shut.notify_all();
  ended.get();
  const Bytes found = owner_.after_a_cut("a");
  EXPECT_EQ(Bytes(found.begin(), found.begin() + 4), bytes("1059"));
  owner_.set_hook({});
  owner_.start();
  ASSERT_OK(busy.get());
  EXPECT_TRUE(asked.get());
}

TEST_F(PostedWrites, ReadersOfOtherBlobsPassThoseThatAreHeld) {
  hold();
  ASSERT_OK(write("abc"));
  ASSERT_OK(client_->read_all("b"));
  Bytes part(3);
  ASSERT_OK(client_->read("b", 0, part));
  release();
  EXPECT_EQ(start_of(*client_, 3), "abc");
}

TEST_F(PostedWrites, AnOwnerThatEndsInAHoldWaitsForNobodyWhoIsGone) {
  hold();
  ASSERT_OK(write("abc"));
  client_.reset();
  owner_.kill();
}

TEST_F(PostedWrites, WhatIsNotTakenIsToldAndSaidUntilAnOwnerTakesIt) {
  std::promise<Error> told;
  std::atomic<int> count = 0;
  client_->watch_failures([&](const Error& error) {
    if (count++ == 0) {
      told.set_value(error);
    }
  });
  poison();
  ASSERT_OK(write("abc"));
  EXPECT_KIND(client_->flush(), poisoned);
  EXPECT_KIND(write("x", Durability::on_return, 1), poisoned);
  EXPECT_KIND(write("x", Durability::deferred, 1), poisoned);
  EXPECT_KIND(client_->close(), poisoned);
  (void)told.get_future().get();
  owner_.kill();
  owner_.set_hook({});
  owner_.start();
  ASSERT_OK(client_->flush());
  EXPECT_EQ(start_of(*client_, 3), "abc");
  EXPECT_EQ(owner_.after_a_cut("a")[2], std::byte{'c'});
  hold(); // It posts again.
  ASSERT_OK(write("def"));
  release();
}

TEST_F(PostedWrites, WhatASealHasKeptOutIsMadeWhenItIsLifted) {
  const auto set_sealed = [this](bool on) {
    auto store = owner_.keeper().use(StoreGate::Purpose::change);
    ASSERT_OK(store);
    ASSERT_OK(on ? (*store)->seal() : (*store)->unseal());
  };
  set_sealed(true);
  ASSERT_OK(write("abc"));
  EXPECT_KIND(write("x", Durability::on_return, 1), sealed);
  EXPECT_KIND(client_->flush(), sealed);
  EXPECT_KIND(client_->hand_over(), sealed);
  EXPECT_KIND(client_->read_all("a"),
              sealed); // Who has heard that it is done finds no older bytes.
  ASSERT_OK(client_->read_all("b"));
  set_sealed(false);
  ASSERT_OK(write("y", Durability::on_return, 2));
  EXPECT_EQ(start_of(*client_, 3), "aby");
  ASSERT_OK(client_->flush());
}

} // namespace
} // namespace vnvram::test
