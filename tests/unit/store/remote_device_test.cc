// Stores on devices that are a round trip away, and whose content someone else may change.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "support/test_clock.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

/// What reaches the device; waits for calls.
class CallLog {
public:
  Status add(Call call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(call);
    changed_.notify_all();
    return {};
  }
  std::vector<Call> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(calls_, {});
  }
  [[nodiscard]] std::size_t writes() const {
    const std::lock_guard lock(mutex_);
    return calls_.size() - count(Call::read);
  }
  /// False when it does not happen within 20 s.
  bool wait_for(Call call, std::size_t times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return count(call) >= times; });
  }

private:
  [[nodiscard]] std::size_t count(Call call) const {
    return static_cast<std::size_t>(std::count(calls_.begin(), calls_.end(), call));
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Call> calls_;
};

constexpr DeviceCapabilities someone_elses = {
    .write = true, .resize = false, .lock = false, .content_may_change = true, .remote = true};
constexpr DeviceCapabilities private_server = {
    .write = true, .resize = false, .lock = true, .content_may_change = false, .remote = true};

class Remote : public StoreFixture {
protected:
  void log_calls() {
    *hook_ = [this](Call call, std::uint64_t, std::span<const std::byte>) {
      return calls_.add(call);
    };
  }
  std::unique_ptr<Store> open_remote(const DeviceCapabilities& can,
                                     OpenOptions options = inline_options()) {
    auto device = std::make_unique<HookedDevice>(disk_, hook_, can.lock);
    device->set_capabilities(can);
    options.clock = &clock_;
    auto store = Store::open(std::move(device), std::move(options));
    EXPECT_TRUE(store.ok()) << (store ? "" : store.error().text());
    return store ? *std::move(store) : nullptr;
  }
  /// Behind an opening: what goes beyond half a ring need not wait any more.
  void no_overtaken_owner_is_left() { clock_.advance(std::chrono::hours(1)); }

  test::TestClock clock_; // So that a look stays recent.
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
  CallLog calls_;
};

TEST_F(Remote, ACommitIsOneRoundTrip) {
  create({spec("a", 100)});
  for (const DeviceCapabilities& can : {someone_elses, private_server}) {
    const auto store = open_remote(can);
    log_calls();
    ASSERT_OK(store->write("a", bytes("one")));
    ASSERT_OK(store->write("a", bytes("two")));
    EXPECT_EQ(calls_.take(), std::vector<Call>(2, Call::write_durable_and_read));
    *hook_ = nullptr;
  }
}

// Where the lock itself keeps an overtaken owner from writing there is nothing to look for first,
// but only for so long: no storage remembers for ever who is to be kept out.
TEST_F(Remote, ACommitOfAFencedOwnerLooksFirstAfterSomeSecondsOnly) {
  create({spec("a", 100)});
  const auto calls_after = [&](const DeviceCapabilities& can, Clock::Duration idle) {
    const auto store = open_remote(can);
    EXPECT_OK(store->write("a", bytes("none")));
    clock_.advance(idle);
    log_calls();
    EXPECT_OK(store->write("a", bytes("one")));
    const std::vector<Call> calls = calls_.take();
    EXPECT_EQ(calls.back(), Call::write_durable_and_read);
    *hook_ = nullptr;
    return calls.size();
  };
  for (const bool fences : {false, true}) {
    DeviceCapabilities can = private_server;
    can.fences = fences;
    EXPECT_EQ(calls_after(can, std::chrono::seconds(4)), fences ? 1U : 2U);
    EXPECT_EQ(calls_after(can, std::chrono::seconds(6)), 2U);
  }
  DeviceCapabilities unlocked = someone_elses;
  unlocked.fences = true; // Without a lock it says nothing.
  EXPECT_EQ(calls_after(unlocked, std::chrono::seconds(4)), 2U);
}

TEST_F(Remote, AnOvertakenOwnerHasNothingAcknowledged) {
  create({spec("a", 100)});
  const auto first = open_remote(someone_elses);
  ASSERT_OK(first->write("a", bytes("first")));
  const auto second = open_remote(someone_elses);
  const Status lost = first->write("a", bytes("lost"));
  EXPECT_KIND(lost, in_use);
  EXPECT_NE(lost.error().text().find("this commit does not count"), std::string::npos)
      << lost.error().text();
  EXPECT_KIND(first->write("a", bytes("lost")), poisoned);
  EXPECT_EQ(*first->read("a"), bytes("first"));
  ASSERT_OK(second->write("a", bytes("second")));
  EXPECT_FALSE(first->close().ok());
  ASSERT_OK(second->close());
  EXPECT_EQ(*open()->read("a"), bytes("second"));
}

TEST_F(Remote, AnOwnerThatComesWhileACommitIsUnderWayIsSeen) {
  create({spec("a", 100)});
  const auto first = open_remote(someone_elses);
  ASSERT_OK(first->write("a", bytes("first")));
  std::unique_ptr<Store> second;
  *hook_ = [&](Call call, std::uint64_t, std::span<const std::byte>) {
    if (call == Call::write_durable_and_read && second == nullptr) {
      second = open_remote(someone_elses);
    }
    return Status{};
  };
  EXPECT_KIND(first->write("a", bytes("lost")), in_use);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second->read("a"), bytes("first"));
  ASSERT_OK(second->write("a", bytes("second")));
  ASSERT_OK(second->close());
  EXPECT_EQ(*open()->read("a"), bytes("second"));
}

TEST_F(Remote, ACommitThatFailsPoisons) {
  create({spec("a", 100)});
  const auto store = open_remote(someone_elses);
  ASSERT_OK(store->write("a", bytes("kept")));
  *hook_ = [](Call call, std::uint64_t, std::span<const std::byte>) {
    return call == Call::write_durable_and_read
               ? Status(Error(ErrorKind::io, "hooked: connection lost"))
               : Status{};
  };
  EXPECT_KIND(store->write("a", bytes("unknown")), io);
  *hook_ = nullptr;
  EXPECT_KIND(store->write("a", bytes("refused")), poisoned);
  EXPECT_EQ(*store->read("a"), bytes("kept"));
}

TEST_F(Remote, ACheckpointLooksBeforeItWrites) {
  create({spec("a", 20000)});
  const auto first = open_remote(someone_elses);
  ASSERT_OK(first->write("a", pattern(20000, 1)));
  const auto second = open_remote(someone_elses);
  ASSERT_OK(second->write("a", pattern(20000, 2)));
  ASSERT_OK(second->checkpoint());
  const Bytes before = disk_->bytes();
  EXPECT_KIND(first->checkpoint(), in_use);
  EXPECT_EQ(disk_->bytes(), before);
}

constexpr std::chrono::seconds idle{1};

OpenOptions very_active() {
  OpenOptions options;
  options.idle_checkpoint_after = idle;
  return options;
}

// How long is "never"? As long as a store on another device, with the same options, takes to do
// several times what this one must not do.
TEST_F(Remote, NothingIsWrittenToADriveThatMayBeRevertedWhileNobodyCommits) {
  create({spec("a", 4000)});
  const auto store = open_remote(someone_elses, very_active());
  const std::size_t more_than_half_a_ring =
      (store->info().ring_size_bytes / block_size_bytes / 2) + 2;
  no_overtaken_owner_is_left();
  ASSERT_OK(store->write("a", pattern(2000, 999)));
  log_calls();
  for (unsigned i = 0; i < more_than_half_a_ring; ++i) {
    ASSERT_OK(store->write("a", pattern(2000, i)));
  }
  ASSERT_GT(2 * store->info().ring_used_bytes, store->info().ring_size_bytes);

  const auto other_disk = std::make_shared<MemoryDisk>(disk_->copy());
  const auto other_hook = std::make_shared<HookedDevice::Hook>();
  CallLog other_calls;
  OpenOptions other_options = very_active();
  other_options.clock = &clock_;
  auto other = *Store::open(std::make_unique<HookedDevice>(other_disk, other_hook), other_options);
  *other_hook = [&](Call call, std::uint64_t, std::span<const std::byte>) {
    return other_calls.add(call);
  };
  for (unsigned round = 0; round < 5; ++round) {
    other_calls.take();
    ASSERT_OK(other->write("a", pattern(2000, 1000 + round)));
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + idle));
    clock_.advance(idle);
    ASSERT_TRUE(other_calls.wait_for(Call::flush, 1)) << "the other store checkpoints by itself";
  }
  ASSERT_OK(other->close());

  EXPECT_EQ(calls_.take(), std::vector<Call>(more_than_half_a_ring, Call::write_durable_and_read));
  ASSERT_OK(store->checkpoint());
  EXPECT_GT(calls_.writes(), 1U);
  EXPECT_EQ(store->info().ring_used_bytes, 0U);
}

TEST_F(Remote, ACommitThatNeedsRoomMakesItOnAnyThread) {
  create({spec("a", 4000)});
  const auto store = open_remote(someone_elses);
  no_overtaken_owner_is_left();
  const std::uint64_t ring_blocks = store->info().ring_size_bytes / block_size_bytes;
  for (unsigned i = 0; i < 3 * ring_blocks; ++i) {
    ASSERT_OK(store->write("a", pattern(2000, i)));
  }
  ASSERT_OK(store->close());
  const auto again = open_remote(someone_elses, very_active());
  no_overtaken_owner_is_left();
  EXPECT_EQ(*again->read("a"), pattern(2000, static_cast<unsigned>(3 * ring_blocks) - 1));
  std::atomic<std::uint64_t> done = 0;
  std::atomic<std::uint64_t> failed = 0;
  for (unsigned i = 0; i < 3 * ring_blocks; ++i) {
    Transaction transaction;
    transaction.write("a", pattern(2000, i + 1));
    again->commit_async(std::move(transaction), [&](const Status& status) {
      failed += status.ok() ? 0 : 1;
      ++done;
    });
  }
  ASSERT_OK(again->close());
  EXPECT_EQ(done, 3 * ring_blocks);
  EXPECT_EQ(failed, 0U);
  EXPECT_EQ(*open()->read("a"), pattern(2000, static_cast<unsigned>(3 * ring_blocks)));
}

} // namespace
} // namespace vnvram
