// Everything at once, for the thread sanitizer: committers, readers, checkpoints, registration,
// and a close with commits still on their way.
#include <algorithm>
#include <atomic>
#include <thread>

#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

constexpr unsigned commits_per_thread = 150;
constexpr std::size_t pair_size_bytes = 6000;

class Stress : public StoreFixture {
protected:
  // Both blobs of a pair get the same bytes in one transaction, so that a reader can tell.
  static Transaction pair_of(unsigned pair, std::byte value) {
    Transaction transaction;
    transaction.write("left" + std::to_string(pair), Bytes(pair_size_bytes, value));
    transaction.write("right" + std::to_string(pair), Bytes(pair_size_bytes, value));
    return transaction;
  }

  static void commit_all(Store& store, unsigned pair) {
    for (unsigned i = 1; i <= commits_per_thread; ++i) {
      ASSERT_OK(store.commit(pair_of(pair, static_cast<std::byte>(i))));
      if (i % 40 == 0) {
        ASSERT_OK(store.checkpoint());
      }
    }
  }

  // A blob is of one commit, whole, and never goes back.
  static void read_until(Store& store, unsigned pair, const std::atomic<bool>& stop) {
    std::uint64_t generation = 0;
    while (!stop) {
      const auto bytes = store.read("left" + std::to_string(pair));
      ASSERT_OK(bytes);
      ASSERT_EQ(
          std::count(bytes->begin(), bytes->end(), bytes->empty() ? std::byte{} : bytes->at(0)),
          static_cast<std::ptrdiff_t>(bytes->size()));
      const auto info = store.blob("right" + std::to_string(pair));
      ASSERT_OK(info);
      ASSERT_GE(info->generation, generation);
      generation = info->generation;
      ASSERT_EQ(store.info().poisoned, std::nullopt);
    }
  }

  static void register_and_remove(Store& store) {
    for (unsigned i = 0; i < 40; ++i) {
      const std::vector<BlobSpec> specs = {spec("guest" + std::to_string(i % 5), 3000 + i)};
      ASSERT_OK(store.register_blobs(specs));
      ASSERT_OK(store.write(specs[0].name, Bytes(100, std::byte{7})));
      ASSERT_OK(store.remove_blob(specs[0].name));
    }
  }
};

TEST_F(Stress, AllAtOnceAndNothingIsMixedUpOrLost) {
  create({spec("left0", pair_size_bytes), spec("right0", pair_size_bytes),
          spec("left1", pair_size_bytes), spec("right1", pair_size_bytes), spec("async", 64)});
  OpenOptions options;
  options.cache_size_bytes = cache_size_min_bytes;
  options.idle_checkpoint_after = std::chrono::milliseconds(1);
  std::atomic<unsigned> answered = 0;
  {
    auto store = open(options);
    std::atomic<bool> stop = false;
    {
      std::vector<std::jthread> readers;
      std::vector<std::jthread> writers;
      for (unsigned pair : {0U, 1U}) {
        readers.emplace_back([&, pair] { read_until(*store, pair, stop); });
        writers.emplace_back([&, pair] { commit_all(*store, pair); });
      }
      writers.emplace_back([&] { register_and_remove(*store); });
      for (unsigned i = 1; i <= commits_per_thread; ++i) {
        Transaction transaction;
        transaction.write("async", Bytes(i % 64 + 1, static_cast<std::byte>(i)));
        store->commit_async(std::move(transaction), [&](const Status& status) {
          EXPECT_TRUE(status.ok());
          ++answered;
        });
      }
      writers.clear(); // Waits for them.
      stop = true;
    }
    for (unsigned i = 1; i <= 20; ++i) { // On their way while it closes.
      Transaction transaction;
      transaction.write("async", Bytes(10, static_cast<std::byte>(100 + i)));
      store->commit_async(std::move(transaction), [&](const Status&) { ++answered; });
    }
    ASSERT_OK(store->close());
  }
  EXPECT_EQ(answered, commits_per_thread + 20);
  const auto store = open_read_only();
  EXPECT_EQ(store->blobs().size(), 5U);
  for (const char* name : {"left0", "right0", "left1", "right1"}) {
    EXPECT_EQ(*store->read(name),
              Bytes(pair_size_bytes, static_cast<std::byte>(commits_per_thread)));
  }
  EXPECT_EQ(*store->read("async"), Bytes(10, std::byte{120}));
}

} // namespace
} // namespace vnvram
