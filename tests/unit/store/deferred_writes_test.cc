// The batches of writes that wait for a record, by themselves.
#include "store/deferred_writes.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "format/layout.h"
#include "support/random.h"
#include "support/sanitizers.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

constexpr DeferredWrites::Limits roomy = {.record_size_bytes = std::uint64_t{1} << 30U,
                                          .page_count = std::size_t{1} << 20U};
// What a batch may add to a record for each blob and for each run, at most.
constexpr std::uint64_t bytes_per_blob_max = 1024;
constexpr std::uint64_t bytes_per_run_max = 16;

struct WrittenRun {
  std::string blob;
  std::uint64_t offset_bytes = 0;
  Bytes content;
  bool operator==(const WrittenRun&) const = default;
};

/// What a transaction says, each update on its own.
std::vector<WrittenRun> runs_of(const Transaction& transaction) {
  std::vector<WrittenRun> runs;
  for (const Transaction::Update& update : transaction.updates()) {
    EXPECT_EQ(update.action, Transaction::Action::write_range);
    runs.push_back(
        {update.blob, update.offset_bytes, Bytes(update.bytes.begin(), update.bytes.end())});
  }
  return runs;
}

/// The bytes of a blob that holds dots where nothing waits.
std::string seen(const DeferredWrites& writes, std::string_view blob, std::uint64_t offset_bytes,
                 std::size_t length_bytes) {
  std::string text(length_bytes, '.');
  writes.lay_over(blob, offset_bytes, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(DeferredWrites, BeginsWithNothing) {
  DeferredWrites writes(roomy);
  EXPECT_TRUE(writes.empty());
  EXPECT_TRUE(writes.nothing_waits());
  EXPECT_FALSE(writes.waits_for("a"));
  EXPECT_EQ(seen(writes, "a", 0, 5), ".....");
  EXPECT_EQ(writes.size_bytes("a", 7), 7U);
  EXPECT_TRUE(writes.take().empty());
  EXPECT_TRUE(writes.nothing_waits());
}

TEST(DeferredWrites, AWriteOfNoBytesIsNone) {
  DeferredWrites writes(roomy);
  writes.write("a", 10, {});
  writes.zero("a", 10, 0);
  EXPECT_TRUE(writes.nothing_waits());
  EXPECT_EQ(writes.size_bytes("a", 3), 3U);
  EXPECT_TRUE(writes.take().empty());
}

TEST(DeferredWrites, RunsThatOverlapOrTouchBecomeOneAndTheLaterByteWins) {
  DeferredWrites writes(roomy);
  writes.write("a", 10, bytes("AAAA")); // 10 to 14
  writes.write("a", 20, bytes("BBBB")); // apart from it
  EXPECT_EQ(seen(writes, "a", 8, 18), "..AAAA......BBBB..");
  writes.write("a", 14, bytes("cc"));  // touches the first
  writes.write("a", 18, bytes("dd"));  // touches the second from below
  writes.write("a", 12, bytes("eee")); // within
  EXPECT_EQ(seen(writes, "a", 8, 18), "..AAeeec..ddBBBB..");
  writes.zero("a", 15, 4); // joins the two
  const std::string joined("AAeee\0\0\0\0dBBBB", 14);
  EXPECT_EQ(runs_of(writes.take()), (std::vector<WrittenRun>{{"a", 10, bytes(joined)}}));
}

TEST(DeferredWrites, ARunThatCoversOthersTakesTheirPlace) {
  DeferredWrites writes(roomy);
  for (const std::uint64_t offset : {0U, 10U, 20U, 30U}) {
    writes.write("a", offset, bytes("x"));
  }
  writes.write("a", 5, bytes(std::string(20, 'y')));
  EXPECT_EQ(runs_of(writes.take()), (std::vector<WrittenRun>{{"a", 0, bytes("x")},
                                                             {"a", 5, bytes(std::string(20, 'y'))},
                                                             {"a", 30, bytes("x")}}));
}

TEST(DeferredWrites, EachPageOfALongWriteIsARunOfItsOwn) {
  DeferredWrites writes(roomy);
  const Bytes content = pattern((2 * block_size_bytes) + 10, 1);
  writes.write("a", block_size_bytes - 5, content);
  EXPECT_EQ(writes.size_bytes("a", 0), (3 * block_size_bytes) + 5);
  Bytes back(content.size());
  writes.lay_over("a", block_size_bytes - 5, back);
  EXPECT_EQ(back, content);
  std::uint64_t next = block_size_bytes - 5;
  Bytes together;
  for (const WrittenRun& run : runs_of(writes.take())) {
    EXPECT_EQ(run.offset_bytes, next);
    EXPECT_EQ(run.offset_bytes / block_size_bytes,
              (run.offset_bytes + run.content.size() - 1) / block_size_bytes);
    next += run.content.size();
    together.insert(together.end(), run.content.begin(), run.content.end());
  }
  EXPECT_EQ(together, content);
}

TEST(DeferredWrites, BlobsAreApart) {
  DeferredWrites writes(roomy);
  writes.write("b", 0, bytes("bb"));
  writes.write("a", 1, bytes("a"));
  EXPECT_TRUE(writes.waits_for("a"));
  EXPECT_FALSE(writes.waits_for("ab"));
  EXPECT_EQ(seen(writes, "a", 0, 3), ".a.");
  EXPECT_EQ(seen(writes, "b", 0, 3), "bb.");
  EXPECT_EQ(seen(writes, "ab", 0, 3), "...");
  EXPECT_EQ(runs_of(writes.take()),
            (std::vector<WrittenRun>{{"a", 1, bytes("a")}, {"b", 0, bytes("bb")}}));
}

TEST(DeferredWrites, OnlyThePartThatIsAskedForIsLaidOver) {
  DeferredWrites writes(roomy);
  writes.write("a", block_size_bytes - 2, bytes("abcd"));
  EXPECT_EQ(seen(writes, "a", block_size_bytes - 1, 2), "bc");
  EXPECT_EQ(seen(writes, "a", block_size_bytes + 2, 2), "..");
  EXPECT_EQ(seen(writes, "a", block_size_bytes - 4, 2), "..");
  EXPECT_EQ(seen(writes, "a", block_size_bytes, 0), "");
}

TEST(DeferredWrites, WhatIsCollectedLiesOverWhatWasTaken) {
  DeferredWrites writes(roomy);
  writes.write("a", 0, bytes("old old"));
  const Transaction taken = writes.take();
  EXPECT_TRUE(writes.empty());
  EXPECT_FALSE(writes.nothing_waits());
  EXPECT_TRUE(writes.waits_for("a"));
  writes.write("a", 4, bytes("new er"));
  EXPECT_EQ(seen(writes, "a", 0, 11), "old new er.");
  EXPECT_EQ(writes.size_bytes("a", 2), 10U);
  EXPECT_EQ(writes.size_bytes("a", 100), 100U);
  // The bytes that a record is made of are not touched by what comes later.
  EXPECT_EQ(runs_of(taken), (std::vector<WrittenRun>{{"a", 0, bytes("old old")}}));
  writes.taken_is_durable();
  EXPECT_EQ(seen(writes, "a", 0, 11), "....new er.");
  EXPECT_EQ(writes.size_bytes("a", 2), 10U);
  EXPECT_EQ(runs_of(writes.take()), (std::vector<WrittenRun>{{"a", 4, bytes("new er")}}));
}

TEST(DeferredWrites, WhatWasTakenIsTakenAgainUntilItIsDurable) {
  DeferredWrites writes(roomy);
  writes.write("a", 0, bytes("first"));
  const std::vector<WrittenRun> first = runs_of(writes.take());
  writes.write("a", 0, bytes("second"));
  EXPECT_EQ(runs_of(writes.take()), first);
  EXPECT_EQ(runs_of(writes.take()), first);
  EXPECT_FALSE(writes.empty());
  writes.taken_is_durable();
  EXPECT_EQ(runs_of(writes.take()), (std::vector<WrittenRun>{{"a", 0, bytes("second")}}));
  writes.taken_is_durable();
  EXPECT_TRUE(writes.nothing_waits());
}

TEST(DeferredWrites, ABatchTakesSoManyPages) {
  DeferredWrites writes({.record_size_bytes = roomy.record_size_bytes, .page_count = 2});
  EXPECT_TRUE(writes.has_room("a", 0, 10 * block_size_bytes)); // An empty one takes any.
  writes.write("a", 0, bytes("x"));
  EXPECT_TRUE(writes.has_room("a", 0, block_size_bytes));
  EXPECT_TRUE(writes.has_room("b", 0, 1));
  EXPECT_FALSE(writes.has_room("a", 1, 2 * block_size_bytes));
  writes.write("a", block_size_bytes - 1, bytes("xx"));
  EXPECT_TRUE(writes.has_room("a", 0, 2 * block_size_bytes));
  EXPECT_FALSE(writes.has_room("a", 2 * block_size_bytes, 1));
  EXPECT_FALSE(writes.has_room("b", 0, 1));
  static_cast<void>(writes.take()); // The next batch is as large.
  EXPECT_TRUE(writes.has_room("b", 0, 10 * block_size_bytes));
  writes.write("b", 0, Bytes(3 * block_size_bytes));
  EXPECT_FALSE(writes.has_room("b", 3 * block_size_bytes, 1));
}

TEST(DeferredWrites, ABatchTakesSoMuchOfARecord) {
  constexpr std::uint64_t limit = 4096;
  DeferredWrites writes({.record_size_bytes = limit, .page_count = roomy.page_count});
  EXPECT_TRUE(writes.has_room("a", 0, 2 * limit)); // An empty one takes any.
  writes.write("a", 0, bytes("x"));
  EXPECT_TRUE(writes.has_room("a", 100, limit - bytes_per_blob_max));
  EXPECT_FALSE(writes.has_room("a", 100, limit));
  // Scattered bytes cost more than their number, further blobs more than their bytes.
  std::uint64_t count = 1;
  while (writes.has_room("a", 2 * count, 1)) {
    writes.write("a", 2 * count, bytes("x"));
    ++count;
  }
  EXPECT_GE(count * (1 + bytes_per_run_max), limit - bytes_per_blob_max - bytes_per_run_max);
  EXPECT_LE(count * (1 + bytes_per_run_max), limit);
  // The bytes between them make them one: there is room again.
  writes.zero("a", 0, 2 * count);
  EXPECT_TRUE(writes.has_room("a", 3 * count, 1));
  EXPECT_TRUE(writes.has_room("b", 0, 1));
  for (int blob = 0; writes.has_room(std::to_string(blob), 0, 1); ++blob) {
    ASSERT_LT(static_cast<std::uint64_t>(blob), limit / sizeof(format::DirectoryEntry));
    writes.write(std::to_string(blob), 0, bytes("x"));
  }
}

TEST(DeferredWrites, WhatIsCollectedForABlobThatIsGoneIsDropped) {
  DeferredWrites writes({.record_size_bytes = 4096, .page_count = 2});
  writes.write("a", 0, bytes("taken"));
  static_cast<void>(writes.take());
  writes.write("a", 0, bytes("gone"));
  writes.write("b", 0, bytes("kept"));
  EXPECT_FALSE(writes.has_room("b", block_size_bytes, 1));
  writes.keep_only([](std::string_view blob) { return blob == "b"; });
  EXPECT_EQ(seen(writes, "a", 0, 6), "taken."); // What is on its way goes its way.
  EXPECT_EQ(seen(writes, "b", 0, 6), "kept..");
  EXPECT_TRUE(writes.has_room("b", block_size_bytes, 1));
  writes.taken_is_durable();
  writes.keep_only([](std::string_view) { return false; });
  EXPECT_TRUE(writes.nothing_waits());
  EXPECT_TRUE(writes.has_room("b", 0, 10 * block_size_bytes));
}

/// The same by a map from bytes to bytes.
class NaiveWrites {
public:
  explicit NaiveWrites(DeferredWrites::Limits limits) : limits_(limits) {}

  void write(const std::string& blob, std::uint64_t offset_bytes, const Bytes& content) {
    for (std::size_t i = 0; i < content.size(); ++i) {
      collected_[blob][offset_bytes + i] = content[i];
    }
    ++write_count_;
  }
  void take() {
    if (taken_.empty()) {
      taken_ = std::exchange(collected_, {});
      write_count_ = 0;
    }
  }
  void taken_is_durable() { taken_.clear(); }

  void lay_over(const std::string& blob, std::uint64_t offset_bytes, Bytes& target) const {
    for (const Batch* batch : {&taken_, &collected_}) {
      if (const auto found = batch->find(blob); found != batch->end()) {
        for (std::size_t i = 0; i < target.size(); ++i) {
          const auto byte = found->second.find(offset_bytes + i);
          target[i] = byte == found->second.end() ? target[i] : byte->second;
        }
      }
    }
  }
  [[nodiscard]] std::uint64_t size_bytes(const std::string& blob, std::uint64_t durable) const {
    for (const Batch* batch : {&taken_, &collected_}) {
      const auto found = batch->find(blob);
      durable =
          found == batch->end() ? durable : std::max(durable, found->second.rbegin()->first + 1);
    }
    return durable;
  }
  /// As runs that do not touch, but at the ends of pages.
  [[nodiscard]] std::vector<WrittenRun> taken() const { return runs_of_batch(taken_); }
  /// Whether it keeps to its limits, if more than one write is in it.
  void expect_within_limits() const {
    std::uint64_t record_size = 0;
    std::set<std::pair<std::string, std::uint64_t>> pages;
    for (const WrittenRun& run : runs_of_batch(collected_)) {
      record_size += run.content.size() + bytes_per_run_max;
      pages.emplace(run.blob, run.offset_bytes / block_size_bytes);
    }
    if (write_count_ > 1) {
      EXPECT_LE(pages.size(), limits_.page_count);
      EXPECT_LE(record_size + (collected_.size() * sizeof(format::DirectoryEntry)),
                limits_.record_size_bytes);
    }
  }

private:
  using Batch = std::map<std::string, std::map<std::uint64_t, std::byte>>;
  static std::vector<WrittenRun> runs_of_batch(const Batch& batch) {
    std::vector<WrittenRun> runs;
    for (const auto& [blob, content] : batch) {
      std::uint64_t next = 0;
      for (const auto& [offset, byte] : content) {
        if (runs.empty() || runs.back().blob != blob || offset != next ||
            offset % block_size_bytes == 0) {
          runs.push_back({blob, offset, {}});
        }
        runs.back().content.push_back(byte);
        next = offset + 1;
      }
    }
    return runs;
  }

  const DeferredWrites::Limits limits_;
  Batch collected_;
  Batch taken_;
  int write_count_ = 0; // in what is collected
};

/// One random step of both.
void step(DeferredWrites& writes, NaiveWrites& naive, test::Random& random) {
  const std::string blob(1, static_cast<char>('a' + random.below(3)));
  const std::uint64_t offset = random.below(5 * block_size_bytes);
  const std::uint64_t length = 1 + random.below(random.below(4) == 0 ? 6000 : 40);
  switch (random.below(12)) {
  case 0:
    naive.take();
    EXPECT_EQ(runs_of(writes.take()), naive.taken());
    break;
  case 1:
    naive.taken_is_durable();
    writes.taken_is_durable();
    break;
  case 2:
    if (writes.has_room(blob, offset, length)) {
      naive.write(blob, offset, Bytes(length));
      writes.zero(blob, offset, length);
    }
    break;
  default:
    if (writes.has_room(blob, offset, length)) {
      const Bytes content = random.bytes(length);
      naive.write(blob, offset, content);
      writes.write(blob, offset, content);
    }
    break;
  }
}

TEST(DeferredWrites, BehaveAsAMapOfBytes) {
  for (std::uint64_t seed = 1; seed <= test::cases(8); ++seed) {
    SCOPED_TRACE(seed);
    test::Random random(seed);
    const DeferredWrites::Limits limits = {.record_size_bytes = seed % 2 == 0 ? 20000U : 8000U,
                                           .page_count = seed % 3 == 0 ? 4U : 12U};
    DeferredWrites writes(limits);
    NaiveWrites naive(limits);
    for (int i = 0; i < 500 && !testing::Test::HasFailure(); ++i) {
      step(writes, naive, random);
      naive.expect_within_limits();
      const std::string blob(1, static_cast<char>('a' + random.below(3)));
      const std::uint64_t offset = random.below(4 * block_size_bytes);
      Bytes expected(random.below(3 * block_size_bytes), std::byte{'.'});
      Bytes found = expected;
      naive.lay_over(blob, offset, expected);
      writes.lay_over(blob, offset, found);
      EXPECT_TRUE(found == expected);
      const std::uint64_t durable = random.below(6 * block_size_bytes);
      EXPECT_EQ(writes.size_bytes(blob, durable), naive.size_bytes(blob, durable));
    }
  }
}

} // namespace
} // namespace vnvram
