// What becomes of writes and reads when threads, memory, room or peace to load run out.
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <future>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/test_clock.h"
#include "unit/store/hooked_store_fixture.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

class Shortage : public HookedStoreFixture {
protected:
  /// What whoever opens the image after a power cut now reads.
  Bytes after_a_cut(std::string_view blob) {
    forget_owner();
    return *open_read_only()->read(blob);
  }
};

/// No thread can be started while it lives: none has that much room for its stack.
class NoMoreThreads {
public:
  NoMoreThreads() {
    pthread_attr_t attributes;
    EXPECT_EQ(::pthread_getattr_default_np(&attributes), 0);
    EXPECT_EQ(::pthread_attr_getstacksize(&attributes, &stack_size_), 0);
    set(std::size_t{1} << 46U);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;
  ~NoMoreThreads() { set(stack_size_); }

private:
  static void set(std::size_t stack_size) {
    pthread_attr_t attributes;
    EXPECT_EQ(::pthread_getattr_default_np(&attributes), 0);
    EXPECT_EQ(::pthread_attr_setstacksize(&attributes, stack_size), 0);
    EXPECT_EQ(::pthread_setattr_default_np(&attributes), 0);
  }
  std::size_t stack_size_ = 0;
};

TEST_F(Shortage, WithoutAThreadForThemWritesAreDurableAtOnce) {
  create({spec("a", 100)});
  auto store = open_hooked(OpenOptions{});
  {
    const NoMoreThreads guard;
    ASSERT_THROW(std::thread([] {}).join(), std::system_error);
    ASSERT_OK(store->write_range_deferred("a", 0, bytes("now")));
    EXPECT_EQ(*open_read_only()->read("a"), bytes("now"));
    ASSERT_OK(store->write_range("a", 3, bytes(" this")));
    EXPECT_EQ(*open_read_only()->read("a"), bytes("now this"));
  }
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("and")));
  ASSERT_OK(store->flush());
  ASSERT_OK(store->close());
  EXPECT_EQ(*open_read_only()->read("a"), bytes("and this"));
}

TEST_F(Shortage, WithoutAThreadForCheckpointsTheRingIsEmptiedAllTheSame) {
  create({spec("a", 20000)}, std::uint64_t{1} << 20U, 64 * 1024);
  OpenOptions options;
  options.threads_late = true;
  auto store = open_hooked(options);
  const NoMoreThreads guard;
  for (unsigned i = 0; i < 50; ++i) {
    ASSERT_OK(store->write("a", pattern(20000, i)));
  }
  ASSERT_OK(store->close());
  EXPECT_EQ(*open_read_only()->read("a"), pattern(20000, 49));
}

TEST_F(Shortage, WithoutThreadsForThemAsynchronousCommitsAreRefusedOrAnswered) {
  create({spec("a", 100)});
  auto store = open_hooked(OpenOptions{});
  std::promise<Status> answered;
  const auto commit = [&](std::string_view content, Store::CommitCallback callback) {
    Transaction transaction;
    transaction.write("a", bytes(content));
    store->commit_async(std::move(transaction), std::move(callback));
  };
  {
    const NoMoreThreads guard;
    EXPECT_THROW(commit("lost", {}), std::system_error);
  }
  EXPECT_EQ(*store->read("a"), Bytes());
  commit("nobody wants to know", {});
  {
    const NoMoreThreads guard;
    commit("kept", [&](const Status& status) { answered.set_value(status); });
    ASSERT_OK(answered.get_future().get());
  }
  ASSERT_OK(store->close());
  EXPECT_EQ(*open_read_only()->read("a"), bytes("kept"));
}

// On a thread that nobody waits for, so that nobody would hear of it before the next commit.
TEST_F(Shortage, ACheckpointThatFailsInTheBackgroundIsReported) {
  create({spec("a", 100)});
  std::promise<Error> reported;
  OpenOptions options;
  test::TestClock clock;
  options.clock = &clock;
  options.failed_in_background = [&](const Error& error) { reported.set_value(error); };
  std::atomic<bool> fails = false;
  *hook_ = [&](Call call, auto, auto) -> Status {
    return fails && call == Call::write ? Status(Error(ErrorKind::io, "hooked: no room"))
                                        : Status{};
  };
  auto store = open_hooked(options);
  fails = true;
  ASSERT_OK(store->write("a", bytes("durable")));
  ASSERT_TRUE(clock.is_awaited(clock.now() + options.idle_checkpoint_after));
  clock.advance(options.idle_checkpoint_after);
  auto report = reported.get_future();
  ASSERT_EQ(report.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  const Error error = report.get();
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_NE(error.cause().find("a checkpoint failed: "), std::string::npos) << error.text();
  EXPECT_TRUE(store->info().poisoned.has_value());
  fails = false;
  EXPECT_KIND(store->write("a", bytes("x")), poisoned);
  EXPECT_FALSE(store->close().ok());
  EXPECT_EQ(*open_read_only()->read("a"), bytes("durable"));
}

// Whatever comes between: someone else is always faster with the room that a record has made.
TEST_F(Shortage, AWriteThatNeverFindsRoomIsACommit) {
  constexpr std::size_t size = std::size_t{1} << 20U;
  create({spec("large", size), spec("small", 10)}, std::size_t{8} << 20U);
  auto store = open_hooked();
  int records = 0;
  *hook_ = [&](Call call, auto, auto) -> Status {
    if (call == Call::write_durable && ++records < 100) {
      EXPECT_TRUE(store->write_range_deferred("small", 0, Bytes(1, std::byte(records))).ok());
    }
    return {};
  };
  ASSERT_OK(store->write_range_deferred("small", 0, bytes("x")));
  ASSERT_OK(store->write_range_deferred("large", 0, pattern(size, 1)));
  EXPECT_LT(records, 100);
  *hook_ = nullptr;
  EXPECT_EQ(after_a_cut("large"), pattern(size, 1));
}

// More than the cache holds, of a blob that changes whenever its first page was loaded again.
TEST_F(Shortage, AReadThatIsNeverFastEnoughIsATurnOfItsOwn) {
  constexpr std::size_t size = std::size_t{1} << 20U;
  constexpr int changes_max = 50;
  create({spec("a", size)}, std::size_t{8} << 20U);
  OpenOptions options;
  options.cache_size_bytes = cache_size_min_bytes;
  const std::thread::id reader = std::this_thread::get_id();
  std::optional<std::uint64_t> first_page;
  int changes = 0;
  std::vector<std::future<Status>> commits;
  auto store = open_hooked(options); // Behind what the hook knows: it is closed before.
  ASSERT_OK(store->write("a", pattern(size, 1)));
  ASSERT_OK(store->checkpoint());
  *hook_ = [&](Call call, std::uint64_t offset_bytes, auto) -> Status {
    if (call != Call::read || std::this_thread::get_id() != reader || changes == changes_max ||
        first_page.value_or(offset_bytes) != offset_bytes) {
      return {};
    }
    first_page = offset_bytes;
    commits.push_back(std::async(std::launch::async, [&, change = ++changes] {
      return store->write_range("a", size - 1, Bytes(1, std::byte(change)));
    }));
    // Long enough for a commit to be done, unless it has to wait for this read.
    commits.back().wait_for(std::chrono::milliseconds(300));
    return {};
  };
  const auto content = store->read("a");
  EXPECT_LT(std::exchange(changes, changes_max), changes_max);
  ASSERT_OK(content);
  for (std::future<Status>& commit : commits) {
    ASSERT_OK(commit.get());
  }
  Bytes expected = pattern(size, 1);
  expected.back() = content->back();
  EXPECT_EQ(*content, expected);
}

TEST_F(Shortage, ACommitThatRunsOutOfMemoryHoldsUpNobody) {
  create({spec("a", 100)});
  auto store = open_hooked();
  *hook_ = [](Call call, auto, auto) -> Status {
    if (call == Call::write_durable) {
      throw std::bad_alloc();
    }
    return {};
  };
  EXPECT_KIND(store->write("a", bytes("x")), io);
  *hook_ = nullptr;
  EXPECT_KIND(store->write("a", bytes("y")), poisoned);
}

} // namespace
} // namespace vnvram
