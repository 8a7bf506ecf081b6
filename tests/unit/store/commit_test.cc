// What a commit changes, and what it leaves alone.
#include <atomic>
#include <latch>
#include <thread>

#include <poll.h>

#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Commit : public StoreFixture {};

TEST_F(Commit, WhatWasWrittenIsThereAfterReopening) {
  create({spec("a", 10000), spec("b", 100)});
  {
    auto store = open();
    ASSERT_OK(store->write("a", pattern(9000, 1)));
    ASSERT_OK(store->write_range("b", 10, bytes("hello")));
    ASSERT_OK(store->close());
  }
  auto store = open();
  EXPECT_EQ(*store->read("a"), pattern(9000, 1));
  Bytes b(15);
  std::copy_n(bytes("hello").begin(), 5, b.begin() + 10);
  EXPECT_EQ(*store->read("b"), b);
  EXPECT_EQ(store->blob("b")->size_bytes, 15U);
}

TEST_F(Commit, SurvivesTheDeathOfTheProcess) {
  create({spec("a", 10000)});
  auto store = open();
  ASSERT_OK(store->write("a", pattern(5000, 1)));
  const std::uint64_t generation = store->info().generation;
  forget_owner(); // the old store goes on with its own copy
  auto next = open();
  EXPECT_EQ(*next->read("a"), pattern(5000, 1));
  EXPECT_EQ(next->info().generation, generation);
  EXPECT_EQ(next->info().epoch, store->info().epoch + 1);
}

TEST_F(Commit, ShrinkingAndGrowingShowsNoOldBytes) {
  create({spec("a", 20000)});
  auto store = open();
  ASSERT_OK(store->write("a", pattern(20000, 3)));
  ASSERT_OK(store->write("a", bytes("x")));
  Transaction grow;
  grow.set_size("a", 20000);
  ASSERT_OK(store->commit(grow));
  Bytes expected(20000);
  expected[0] = std::byte{'x'};
  EXPECT_EQ(*store->read("a"), expected);
  forget_owner();
  EXPECT_EQ(*open()->read("a"), expected);
}

TEST_F(Commit, AGapIsZero) {
  create({spec("a", 20000)});
  auto store = open();
  ASSERT_OK(store->write_range("a", 15000, bytes("end")));
  Bytes range(15003);
  ASSERT_OK(store->read_range("a", 0, range));
  EXPECT_EQ(range[14999], std::byte{0});
  EXPECT_EQ(range[15000], std::byte{'e'});
}

TEST_F(Commit, WritingTheSameBytesCostsNoGeneration) {
  create({spec("a", 5000)});
  auto store = open();
  ASSERT_OK(store->write("a", pattern(5000, 1)));
  const std::uint64_t generation = store->info().generation;
  const std::uint64_t used = store->info().ring_used_bytes;
  ASSERT_OK(store->write("a", pattern(5000, 1)));
  EXPECT_EQ(store->info().generation, generation);
  EXPECT_EQ(store->info().ring_used_bytes, used);
}

TEST_F(Commit, AnEmptyWriteMarksABlobAsWritten) {
  create({spec("a", 5000)});
  auto store = open();
  EXPECT_EQ(store->blob("a")->generation, 0U);
  ASSERT_OK(store->write("a", Bytes{}));
  EXPECT_NE(store->blob("a")->generation, 0U);
  forget_owner();
  EXPECT_NE(open()->blob("a")->generation, 0U);
}

TEST_F(Commit, ATransactionWithOneBadUpdateChangesNothing) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("old")));
  const std::uint64_t generation = store->info().generation;
  Transaction transaction;
  transaction.write("a", bytes("new"));
  transaction.write("b", pattern(101, 1));
  EXPECT_KIND(store->commit(transaction), too_large);
  Transaction unknown;
  unknown.write("a", bytes("new"));
  unknown.write("c", bytes("new"));
  EXPECT_KIND(store->commit(unknown), not_found);
  EXPECT_EQ(*store->read("a"), bytes("old"));
  EXPECT_EQ(store->info().generation, generation);
}

TEST_F(Commit, UpdatesOfATransactionAreCarriedOutInOrder) {
  create({spec("a", 10000)});
  auto store = open();
  Transaction transaction;
  transaction.write("a", pattern(9000, 1));
  transaction.set_size("a", 10);
  transaction.write_range("a", 20, bytes("z"));
  ASSERT_OK(store->commit(transaction));
  Bytes expected(21);
  std::copy_n(pattern(9000, 1).begin(), 10, expected.begin());
  expected[20] = std::byte{'z'};
  EXPECT_EQ(*store->read("a"), expected);
}

TEST_F(Commit, ATransactionMayFillHalfTheRingAndNoMore) {
  create({spec("a", 20000), spec("b", 20000)}, std::uint64_t{1} << 20U, 64 * 1024);
  auto store = open();
  ASSERT_OK(store->write("a", pattern(20000, 1)));
  Transaction both;
  both.write("a", pattern(20000, 2));
  both.write("b", pattern(20000, 3));
  EXPECT_KIND(store->commit(both), too_large);
  EXPECT_EQ(*store->read("a"), pattern(20000, 1));
  EXPECT_EQ(store->blob("b")->size_bytes, 0U);
}

TEST_F(Commit, AFullRingWaitsForACheckpointAndGoesOn) {
  create({spec("a", 20000)}, std::uint64_t{1} << 20U, 64 * 1024);
  auto store = open();
  for (unsigned i = 0; i < 100; ++i) {
    ASSERT_OK(store->write("a", pattern(20000, i)));
  }
  EXPECT_EQ(*store->read("a"), pattern(20000, 99));
  forget_owner();
  EXPECT_EQ(*open()->read("a"), pattern(20000, 99));
}

TEST_F(Commit, TheProducerIsTheOneWhoWroteLast) {
  create({spec("a", 100)});
  OpenOptions options = inline_options();
  options.blobs = {spec("a", 100)};
  options.blobs[0].producer = "someone else 2.0";
  auto store = open(options);
  EXPECT_EQ(store->blob("a")->producer, "unit test");
  ASSERT_OK(store->write("a", bytes("x")));
  EXPECT_EQ(store->blob("a")->producer, "someone else 2.0");
  forget_owner();
  EXPECT_EQ(open()->blob("a")->producer, "someone else 2.0");
}

TEST_F(Commit, CallbacksRunInOrderInsideDispatch) {
  create({spec("a", 100)});
  OpenOptions options;
  options.callbacks = CallbackMode::event_fd;
  auto store = open(options);
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    Transaction transaction;
    transaction.write("a", Bytes(10, static_cast<std::byte>(i + 1)));
    store->commit_async(std::move(transaction), [&order, i](const Status& status) {
      EXPECT_TRUE(status.ok());
      order.push_back(i);
    });
  }
  while (order.size() < 50) {
    pollfd wait{store->event_fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 10000), 1);
    store->dispatch();
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  }
  EXPECT_EQ(*store->read("a"), Bytes(10, std::byte{50}));
}

TEST_F(Commit, ACallbackMayCommitAgain) {
  create({spec("a", 100)});
  auto store = open(OpenOptions{});
  std::latch done(1);
  Transaction first;
  first.write("a", bytes("first"));
  store->commit_async(std::move(first), [&](const Status&) {
    EXPECT_TRUE(store->write("a", bytes("second")).ok());
    done.count_down();
  });
  done.wait();
  EXPECT_EQ(*store->read("a"), bytes("second"));
}

TEST_F(Commit, ManyThreadsShareRecordsAndLoseNothing) {
  constexpr std::size_t threads = 8;
  constexpr unsigned rounds = 200;
  std::vector<BlobSpec> specs;
  for (std::size_t i = 0; i < threads; ++i) {
    specs.push_back(spec("blob" + std::to_string(i), 5000));
  }
  create(specs, std::uint64_t{2} << 20U, 256 * 1024);
  auto store = open(OpenOptions{});
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < threads; ++i) {
      workers.emplace_back([&, i] {
        for (unsigned round = 1; round <= rounds; ++round) {
          const Bytes content = pattern(3000, (round * 16) + static_cast<unsigned>(i));
          ASSERT_OK(store->write("blob" + std::to_string(i), content));
          EXPECT_EQ(*store->read("blob" + std::to_string(i)), content);
        }
      });
    }
  }
  forget_owner();
  auto next = open();
  for (std::size_t i = 0; i < threads; ++i) {
    EXPECT_EQ(*next->read("blob" + std::to_string(i)),
              pattern(3000, (rounds * 16) + static_cast<unsigned>(i)));
  }
}

TEST_F(Commit, ASmallCacheIsEnoughForLargeBlobs) {
  create({spec("a", std::uint64_t{4} << 20U)}, std::uint64_t{32} << 20U);
  OpenOptions options = inline_options();
  options.cache_size_bytes = cache_size_min_bytes;
  auto store = open(options);
  for (unsigned i = 0; i < 3; ++i) {
    ASSERT_OK(store->write("a", pattern(std::size_t{4} << 20U, i)));
    EXPECT_EQ(*store->read("a"), pattern(std::size_t{4} << 20U, i));
  }
  forget_owner();
  auto next = open(options); // replays more than its cache holds
  EXPECT_EQ(*next->read("a"), pattern(std::size_t{4} << 20U, 2));
}

} // namespace
} // namespace vnvram
