// What becomes of deferred writes when something goes wrong while they wait.
#include <pthread.h>

#include <future>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

class DeferredTrouble : public StoreFixture {
protected:
  std::unique_ptr<Store> open_hooked(OpenOptions options = inline_options()) {
    auto store = Store::open(std::make_unique<HookedDevice>(disk_, hook_), std::move(options));
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }
  /// The next look at the superblocks, which each commit begins with, fails; and that is all.
  void fail_to_look_once() {
    *hook_ = [failed = false](Call call, std::uint64_t offset_bytes, auto) mutable -> Status {
      if (call != Call::read || offset_bytes != 0 || failed) {
        return {};
      }
      failed = true;
      return Error(ErrorKind::io, "not this time");
    };
  }
  /// What whoever opens the image after a power cut now reads.
  Bytes after_a_cut(std::string_view blob) {
    forget_owner();
    return *open_read_only()->read(blob);
  }

  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
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

TEST_F(DeferredTrouble, AFlushAfterOneThatFailedIsForAllThatWasWritten) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_to_look_once();
  ASSERT_FALSE(store->flush().ok());
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("other")));
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("a"), bytes("other"));
}

TEST_F(DeferredTrouble, ACommitAfterOneThatFailedComesAfterAllThatWasWritten) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_to_look_once();
  ASSERT_FALSE(store->flush().ok());
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("other")));
  ASSERT_OK(store->write_range("a", 0, bytes("last!")));
  EXPECT_EQ(*store->read("a"), bytes("last!"));
  EXPECT_EQ(after_a_cut("a"), bytes("last!"));
}

TEST_F(DeferredTrouble, CloseSaysWhenWhatWasDeferredIsLost) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_to_look_once();
  EXPECT_FALSE(store->close().ok());
}

TEST_F(DeferredTrouble, AWriteToABlobThatIsRemovedMeanwhileHoldsUpNobody) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open_hooked();
  bool wrote = false;
  *hook_ = [&](Call call, auto, auto) -> Status {
    if (call == Call::write_durable && !wrote) {
      wrote = true; // The record of the removal is on its way.
      EXPECT_TRUE(store->write_range_deferred("a", 0, bytes("too late")).ok());
    }
    return {};
  };
  ASSERT_OK(store->remove_blob("a"));
  ASSERT_TRUE(wrote);
  ASSERT_OK(store->write("b", bytes("goes on")));
  ASSERT_OK(store->register_blobs(std::vector{spec("a", 100)}));
  EXPECT_EQ(*store->read("a"), Bytes());
  ASSERT_OK(store->close());
  EXPECT_EQ(*open_read_only()->read("a"), Bytes());
}

TEST_F(DeferredTrouble, WithoutAThreadForThemWritesAreDurableAtOnce) {
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

TEST_F(DeferredTrouble, WithoutAThreadForCheckpointsTheRingIsEmptiedAllTheSame) {
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

TEST_F(DeferredTrouble, WithoutThreadsForThemAsynchronousCommitsAreRefusedOrAnswered) {
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

// Whatever comes between: someone else is always faster with the room that a record has made.
TEST_F(DeferredTrouble, AWriteThatNeverFindsRoomIsACommit) {
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
TEST_F(DeferredTrouble, AReadThatIsNeverFastEnoughIsATurnOfItsOwn) {
  constexpr std::size_t size = std::size_t{1} << 20U;
  constexpr int changes_max = 50;
  create({spec("a", size)}, std::size_t{8} << 20U);
  OpenOptions options;
  options.cache_size_bytes = cache_size_bytes_min;
  auto store = open_hooked(options);
  ASSERT_OK(store->write("a", pattern(size, 1)));
  ASSERT_OK(store->checkpoint());
  const std::thread::id reader = std::this_thread::get_id();
  std::optional<std::uint64_t> first_page;
  int changes = 0;
  std::vector<std::future<Status>> commits;
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

TEST_F(DeferredTrouble, ACommitThatRunsOutOfMemoryHoldsUpNobody) {
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
