// Commits and checkpoints that there is no memory for.
#include <chrono>
#include <functional>
#include <new>
#include <optional>

#include "support/sanitizers.h"
#include "unit/store/failing_allocations.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class CommitMemory : public StoreFixture {
protected:
  /// Lets each allocation of a call fail in turn, on a store of its own. Nobody waits for ever
  /// afterwards, and what was there or was written is. Returns how many there are.
  long count_allocations(const std::function<Status(Store&)>& call) {
    for (long allocation = 0;; ++allocation) {
      create({spec("a", 40000)}, std::uint64_t{1} << 20U, std::uint64_t{128} << 10U);
      auto store = open();
      EXPECT_TRUE(store->write("a", pattern(40000, 1)).ok());
      bool failed = false;
      std::optional<Status> done;
      {
        const FailingAllocation failing(allocation);
        try {
          done = call(*store);
        } catch (const std::bad_alloc&) {
        }
        failed = failing.has_failed();
      }
      if (!failed) {
        EXPECT_TRUE(done && done->ok());
        return allocation;
      }
      const Status next = store->write("a", pattern(40000, 3));
      EXPECT_EQ(next.ok(), !store->info().poisoned.has_value()) << "allocation " << allocation;
      EXPECT_TRUE(next || next.error().kind() == ErrorKind::poisoned) << next.error().text();
      EXPECT_EQ(store->close().ok(), next.ok());
      store.reset();
      const Bytes found = *open()->read("a");
      EXPECT_TRUE(next ? found == pattern(40000, 3)
                       : found == pattern(40000, 1) || found == pattern(40000, 2))
          << "allocation " << allocation;
    }
  }
};

TEST_F(CommitMemory, ACommitHoldsUpNobody) {
  EXPECT_GT(count_allocations([](Store& store) { return store.write("a", pattern(40000, 2)); }),
            10);
}

TEST_F(CommitMemory, AFlushHoldsUpNobody) {
  EXPECT_GT(count_allocations([](Store& store) {
              const Status taken = store.write_range_deferred("a", 0, pattern(40000, 2));
              return taken ? store.flush() : taken;
            }),
            10);
}

TEST_F(CommitMemory, ACheckpointPoisonsAndThrowsNothing) {
  EXPECT_GT(count_allocations([](Store& store) {
              std::optional<Status> done;
              EXPECT_NO_THROW(done = store.checkpoint());
              return done.value_or(Status{});
            }),
            10);
}

// More pages than the cache keeps: some have no frame when the record is installed.
TEST_F(CommitMemory, ReadersSeeAllOfARecordOrNothing) {
  constexpr std::size_t size_bytes = 400000;
  constexpr long step = test::under_thread_sanitizer ? 61 : 1; // One thread: it sees nothing there.
  for (long allocation = 0, failed = 1; failed != 0; allocation += step) {
    create({spec("a", size_bytes)}, std::uint64_t{2} << 20U, std::uint64_t{900} << 10U);
    OpenOptions options = inline_options();
    options.cache_size_bytes = cache_size_min_bytes;
    auto store = open(options);
    ASSERT_TRUE(store->write("a", pattern(size_bytes, 1)).ok());
    ASSERT_TRUE(store->checkpoint().ok());
    {
      const FailingAllocation failing(allocation);
      try {
        (void)store->write("a", pattern(size_bytes, 2));
      } catch (const std::bad_alloc&) {
      }
      failed = failing.has_failed() ? 1 : 0;
    }
    const auto seen = store->read("a");
    ASSERT_TRUE(seen.ok()) << "allocation " << allocation;
    ASSERT_TRUE(*seen == pattern(size_bytes, 1) || *seen == pattern(size_bytes, 2))
        << "allocation " << allocation;
    store.reset();
  }
}

} // namespace
} // namespace vnvram
