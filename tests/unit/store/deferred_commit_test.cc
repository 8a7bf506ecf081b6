// Deferred writes through a store: when they are seen, when they are durable, and what they cost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <utility>

#include "support/random.h"
#include "unit/store/deferred_fixture.h"

namespace vnvram {
namespace {

using test::DeviceCost;

class DeferredCommit : public DeferredFixture {};

// ---- What is seen, and when it is durable

TEST_F(DeferredCommit, IsSeenAtOnceAndDurableAfterAFlush) {
  create({spec("a", 10000)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("durable")));
  const std::uint64_t generation = store->info().generation;
  ASSERT_OK(store->write_range_deferred("a", 3, bytes("waits on")));
  ASSERT_OK(store->zero_range_deferred("a", 5, 2));
  const Bytes expected = bytes(std::string_view("durwa\0\0s on", 11));
  EXPECT_EQ(*store->read("a"), expected);
  Bytes part(4);
  ASSERT_OK(store->read_range("a", 8, part));
  EXPECT_EQ(part, bytes(std::string_view(" on\0", 4)));
  EXPECT_EQ(store->info().generation, generation);
  EXPECT_EQ(after_a_cut("a"), bytes("durable"));
  ASSERT_OK(store->flush());
  EXPECT_EQ(store->info().generation, generation + 1);
  EXPECT_EQ(*store->read("a"), expected);
  EXPECT_EQ(after_a_cut("a"), expected);
}

TEST_F(DeferredCommit, ABlobIsListedWithTheSizeThatReadersSee) {
  create({spec("a", 10000)});
  auto store = open();
  ASSERT_OK(store->write_range_deferred("a", 5000, bytes("end")));
  EXPECT_EQ(store->blob("a")->size_bytes, 5003U);
  EXPECT_EQ(store->blobs().front().size_bytes, 5003U);
  EXPECT_EQ(store->read("a")->size(), 5003U);
  EXPECT_EQ(store->blob("a")->generation, 0U); // No commit has changed it.
  ASSERT_OK(store->flush());
  EXPECT_EQ(store->blob("a")->size_bytes, 5003U);
  EXPECT_EQ(store->blob("a")->generation, store->info().generation);
}

TEST_F(DeferredCommit, CloseMakesAllDurable) {
  create({spec("a", 10000)});
  auto store = open();
  ASSERT_OK(store->write_range_deferred("a", 0, pattern(9000, 1)));
  ASSERT_OK(store->close());
  EXPECT_TRUE(open_read_only()->info().clean);
  EXPECT_EQ(*open_read_only()->read("a"), pattern(9000, 1));
}

TEST_F(DeferredCommit, CloseSaysWhenItCouldNotMakeThemDurable) {
  create({spec("a", 100)});
  auto store = open_counted();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("lost")));
  int failures = 1;
  *hook_ = [&](HookedDevice::Call call, std::uint64_t offset, std::span<const std::byte> data) {
    const Status failed = fail_reading_superblocks(call, offset, data);
    return failed || failures-- <= 0 ? Status{} : failed;
  };
  EXPECT_KIND(store->close(), io);
  *hook_ = nullptr;
  store.reset();
  EXPECT_EQ(*open()->read("a"), Bytes{});
}

TEST_F(DeferredCommit, AbandonDropsWhatWaits) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("kept")));
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("dropped")));
  ASSERT_NE(store->abandon(), nullptr);
  store.reset();
  EXPECT_EQ(*open()->read("a"), bytes("kept"));
}

TEST_F(DeferredCommit, WithoutADeferralEachIsDurableOnReturn) {
  create({spec("a", 10000)});
  OpenOptions options = inline_options();
  options.deferral = std::chrono::microseconds(0);
  auto store = open_counted(options);
  const DeviceCost before = counter_->cost();
  const std::uint64_t generation = store->info().generation;
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("at once")));
  EXPECT_EQ(after_a_cut("a"), bytes("at once"));
  ASSERT_OK(store->zero_range_deferred("a", 2, 5));
  EXPECT_EQ(after_a_cut("a"), bytes(std::string_view("at\0\0\0\0\0", 7)));
  EXPECT_EQ(store->info().generation, generation + 2);
  EXPECT_EQ((counter_->cost() - before).durable_writes, 2U);
  EXPECT_KIND(store->write_range_deferred("a", 9999, bytes("xx")), too_large);
  EXPECT_KIND(store->zero_range_deferred("none", 0, 1), not_found);
}

TEST_F(DeferredCommit, TheDeadlineCommitsByItself) {
  constexpr std::chrono::milliseconds deferral{1};
  create({spec("a", 10000)});
  auto store = open_counted(on_test_clock(deferral));
  for (unsigned i = 0; i < 3; ++i) { // It is set anew for each batch.
    const std::uint64_t generation = store->info().generation;
    ASSERT_OK(store->write_range_deferred("a", 0, pattern(5000, i)));
    clock_.advance(deferral);
    wait_until([&] { return store->info().generation > generation; });
    EXPECT_EQ(after_a_cut("a"), pattern(5000, i));
  }
}

TEST_F(DeferredCommit, TheDeadlineIsTheOneThatWasAskedFor) {
  constexpr std::chrono::nanoseconds moment{1};
  create({spec("a", 100)});
  for (const int deferral_ms : {10, 300}) {
    const std::chrono::milliseconds deferral(deferral_ms);
    auto store = open_counted(on_test_clock(deferral));
    const std::uint64_t generation = store->info().generation;
    ASSERT_OK(store->write_range_deferred("a", 0, pattern(50, 1)));
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + deferral));
    clock_.advance(deferral / 2);
    ASSERT_OK(store->write_range_deferred("a", 50, pattern(50, 2))); // The first one's is theirs.
    clock_.advance(deferral - deferral / 2 - moment);
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + moment));
    EXPECT_EQ(store->info().generation, generation);
    clock_.advance(moment);
    wait_until([&] { return store->info().generation > generation; });
    ASSERT_OK(store->remove_blob("a"));
    const std::vector<BlobSpec> specs = {spec("a", 100)};
    ASSERT_OK(store->register_blobs(specs));
    ASSERT_OK(store->close());
  }
}

// ---- What it costs

TEST_F(DeferredCommit, ManyCostOneRecordAndAFlushOfNothingCostsNothing) {
  create({spec("a", 65536), spec("b", 65536)});
  auto store = open_counted();
  Bytes expected(65536);
  test::Random random(1);
  ASSERT_OK(store->write("a", expected));
  ASSERT_OK(store->write("b", expected));
  const DeviceCost before = counter_->cost();
  const std::uint64_t generation = store->info().generation;
  for (int i = 0; i < 1000; ++i) {
    const Bytes some = random.bytes(16);
    const std::uint64_t offset = random.below(65520);
    std::copy(some.begin(), some.end(), expected.begin() + static_cast<std::ptrdiff_t>(offset));
    ASSERT_OK(store->write_range_deferred("a", offset, some));
    ASSERT_OK(store->write_range_deferred("b", offset, some));
  }
  EXPECT_EQ(counter_->cost(), before);
  EXPECT_TRUE(*store->read("a") == expected);
  ASSERT_OK(store->flush());
  const DeviceCost after = counter_->cost();
  EXPECT_EQ((after - before).durable_writes, 1U);
  EXPECT_EQ((after - before).writes, 0U);
  EXPECT_EQ((after - before).flushes, 0U);
  EXPECT_EQ(store->info().generation, generation + 1);
  ASSERT_OK(store->flush());
  EXPECT_EQ(counter_->cost(), after);
  EXPECT_TRUE(after_a_cut("a") == expected);
  EXPECT_TRUE(after_a_cut("b") == expected);
}

TEST_F(DeferredCommit, ThoseThatChangeNothingCostNothing) {
  create({spec("a", 10000)});
  auto store = open_counted();
  ASSERT_OK(store->write("a", pattern(9000, 1)));
  const std::uint64_t generation = store->info().generation;
  const std::uint64_t durable_writes = counter_->cost().durable_writes;
  ASSERT_OK(store->write_range_deferred("a", 0, pattern(9000, 1)));
  ASSERT_OK(store->flush());
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("there and back")));
  ASSERT_OK(store->write_range_deferred("a", 0, pattern(9000, 1)));
  ASSERT_OK(store->flush());
  EXPECT_EQ(store->info().generation, generation);
  EXPECT_EQ(counter_->cost().durable_writes, durable_writes);
}

TEST_F(DeferredCommit, ALaterCommitHoldsBothInOneRecord) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open_counted();
  const DeviceCost before = counter_->cost();
  const std::uint64_t generation = store->info().generation;
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("deferred")));
  ASSERT_OK(store->write("b", bytes("committed")));
  EXPECT_EQ((counter_->cost() - before).durable_writes, 1U);
  EXPECT_EQ(store->info().generation, generation + 1);
  EXPECT_EQ(after_a_cut("a"), bytes("deferred"));
  EXPECT_EQ(after_a_cut("b"), bytes("committed"));
  // What a commit writes comes after what was deferred before it, and before what is deferred
  // after.
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("1111")));
  ASSERT_OK(store->write("a", bytes("22")));
  EXPECT_EQ(*store->read("a"), bytes("22"));
  ASSERT_OK(store->write_range_deferred("a", 1, bytes("3")));
  EXPECT_EQ(*store->read("a"), bytes("23"));
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("a"), bytes("23"));
}

// One equal byte at the end of each page splits the change into the most extents for its size.
TEST_F(DeferredCommit, AWholeWriteOfTheLargestBlobIsOneCommit) {
  create({}, std::uint64_t{2} << 20U, std::uint64_t{64} << 10U);
  auto store = open_counted();
  const std::uint64_t size = store->info().blob_size_max_bytes;
  const std::vector<BlobSpec> specs = {spec("a", size), spec("b", size)};
  ASSERT_OK(store->register_blobs(specs));
  const Bytes before = pattern(size, 1);
  Bytes after = before;
  for (std::size_t i = 0; i < after.size(); ++i) {
    after[i] ^= i % block_size_bytes == block_size_bytes - 1 ? std::byte{0} : std::byte{1};
  }
  for (const Bytes* content : {&std::as_const(before), &std::as_const(after)}) {
    const std::uint64_t generation = store->info().generation;
    ASSERT_OK(store->write_range_deferred("a", 0, *content));
    EXPECT_EQ(store->info().generation, generation); // An empty batch takes any.
    ASSERT_OK(store->flush());
    EXPECT_EQ(store->info().generation, generation + 1);
    EXPECT_TRUE(after_a_cut("a") == *content);
    // Behind another write it is a commit of its own.
    ASSERT_OK(store->write_range_deferred("b", 0, *content));
    ASSERT_OK(store->write_range_deferred("a", 0, Bytes(size)));
    EXPECT_EQ(store->info().generation, generation + 2);
    EXPECT_TRUE(after_a_cut("b") == *content);
    ASSERT_OK(store->flush());
    EXPECT_EQ(store->info().generation, generation + 3);
  }
}

TEST_F(DeferredCommit, ABatchNeverExceedsARecordAndNothingIsLost) {
  constexpr std::uint64_t ring_size = std::uint64_t{80} << 10U;
  constexpr std::uint64_t blob_size = 16384;
  std::vector<BlobSpec> specs;
  specs.reserve(60);
  for (int i = 0; i < 60; ++i) {
    specs.push_back(spec("blob" + std::to_string(i), blob_size));
  }
  create(specs, std::uint64_t{4} << 20U, ring_size);
  std::atomic<std::size_t> record_size_max = 0;
  *hook_ = [&](HookedDevice::Call call, std::uint64_t, std::span<const std::byte> data) {
    if (call == HookedDevice::Call::write_durable) { // One at a time.
      record_size_max = std::max<std::size_t>(record_size_max, data.size());
    }
    return Status{};
  };
  for (const bool background : {false, true}) {
    OpenOptions options =
        background ? in_background(std::chrono::microseconds(100)) : inline_options();
    auto store = open_counted(options);
    std::map<std::string, Bytes> expected;
    for (const BlobSpec& blob : specs) {
      expected[blob.name] = *store->read(blob.name);
      expected[blob.name].resize(blob_size);
    }
    const std::uint64_t generation = store->info().generation;
    test::Random random(background ? 1 : 2);
    for (int i = 0; i < 5000; ++i) {
      // Over all of them the blobs are what fills a batch, over a few the bytes.
      const std::string& blob = specs[random.below(background ? specs.size() : 6)].name;
      const std::uint64_t offset = random.below(blob_size);
      const Bytes byte = random.bytes(1);
      expected[blob][offset] = byte.front();
      ASSERT_OK(store->write_range_deferred(blob, offset, byte));
    }
    EXPECT_GT(store->info().generation, generation + 1);
    ASSERT_OK(store->flush());
    const auto cut = copy_of_disk();
    ASSERT_OK(store->close());
    const auto reopened = Store::open(std::make_unique<MemoryDevice>(cut), inline_options());
    ASSERT_OK(reopened);
    for (const BlobSpec& blob : specs) {
      Bytes content = *(*reopened)->read(blob.name);
      content.resize(blob_size);
      EXPECT_TRUE(content == expected[blob.name]) << blob.name;
    }
  }
  EXPECT_LE(record_size_max, ring_size / 2);
  EXPECT_GT(record_size_max, ring_size / 4);
}

TEST_F(DeferredCommit, ATransactionsZerosCostOneBlock) {
  constexpr std::uint64_t size = std::uint64_t{256} << 10U;
  create({spec("a", size)});
  auto store = open_counted();
  ASSERT_OK(store->write("a", pattern(size, 1)));
  const DeviceCost before = counter_->cost();
  Transaction transaction;
  transaction.zero_range("a", 10, size - 10);
  ASSERT_OK(store->commit(transaction));
  EXPECT_EQ((counter_->cost() - before).durable_writes, 1U);
  EXPECT_EQ((counter_->cost() - before).bytes, block_size_bytes);
  Bytes expected = pattern(size, 1);
  std::fill(expected.begin() + 10, expected.end(), std::byte{0});
  EXPECT_TRUE(after_a_cut("a") == expected);
}

// A reader that commits are always ahead of has a turn among them. What is deferred needs none, and
// makes the blob longer meanwhile: there is more to read then.
TEST_F(DeferredCommit, AReadThatHasItsTurnGoesOnBeyondWhatIsDeferredMeanwhile) {
  constexpr std::uint64_t page_count = 150; // The cache holds 64 of them.
  constexpr std::uint64_t page_count_max = 200;
  create({spec("a", page_count_max * block_size_bytes)});
  Bytes expected = pattern(page_count * block_size_bytes, 1);
  ASSERT_OK(open()->write("a", expected));
  OpenOptions options = inline_options();
  options.cache_size_bytes = cache_size_min_bytes;
  options.deferral = std::chrono::seconds(1);
  auto store = open_counted(options);
  const Bytes byte = pattern(1, 2);
  std::optional<std::uint64_t> begin; // Each try of the reader's reads there, once.
  unsigned tries = 0;
  bool in_hook = false;
  bool deferred = false;
  *hook_ = [&](HookedDevice::Call call, std::uint64_t offset, std::span<const std::byte> data) {
    if (in_hook || call != HookedDevice::Call::read || data.size() <= block_size_bytes ||
        offset != begin.value_or(offset)) {
      return Status{};
    }
    in_hook = true;
    begin = offset;
    Status done;
    if (++tries <= 8) { // While it reads beside them: another generation.
      expected[(page_count * block_size_bytes) - 1] = std::byte(tries);
      done =
          store->write_range("a", (page_count * block_size_bytes) - 1, std::span(expected).last(1));
    } else if (!deferred) {
      deferred = true;
      done = store->write_range_deferred("a", (page_count_max * block_size_bytes) - 1, byte);
    }
    in_hook = false;
    return done;
  };
  const auto content = store->read("a");
  ASSERT_OK(content);
  ASSERT_TRUE(deferred);
  expected.resize(page_count_max * block_size_bytes);
  expected.back() = byte.front();
  EXPECT_TRUE(*content == expected);
  *hook_ = {};
}

} // namespace
} // namespace vnvram
