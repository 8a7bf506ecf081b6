// Checkpoints that nobody asks for: when a store has been idle, and not before.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "device/forwarding_device.h"
#include "device/memory_device.h"
#include "support/test_clock.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

constexpr std::chrono::milliseconds idle_for{700};
constexpr std::chrono::nanoseconds moment{1};

class IdleCheckpoint : public StoreFixture {
protected:
  void SetUp() override {
    create({spec("a", 100)});
    OpenOptions options;
    options.idle_checkpoint_after = idle_for;
    options.clock = &clock_;
    store_ = open(options);
    ASSERT_NE(store_, nullptr);
  }
  void commit(std::string_view text) { ASSERT_OK(store_->write("a", bytes(text))); }
  [[nodiscard]] bool is_behind_a_checkpoint() const { return store_->info().ring_used_bytes == 0; }
  void wait_for_checkpoint() const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!is_behind_a_checkpoint()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  }

  test::TestClock clock_;
  std::unique_ptr<Store> store_;
};

TEST_F(IdleCheckpoint, ComesWhenNothingWasCommittedForSoLong) {
  for (const std::string_view text : {"one", "two"}) {
    commit(text);
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + idle_for));
    clock_.advance(idle_for - moment);
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + moment));
    EXPECT_FALSE(is_behind_a_checkpoint());
    clock_.advance(moment);
    wait_for_checkpoint();
  }
}

TEST_F(IdleCheckpoint, ACommitStartsTheTimeAnew) {
  commit("one");
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + idle_for));
  clock_.advance(idle_for - moment);
  commit("two");
  clock_.advance(moment);
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + idle_for));
  EXPECT_FALSE(is_behind_a_checkpoint());
  clock_.advance(idle_for);
  wait_for_checkpoint();
}

TEST_F(IdleCheckpoint, TellsThatTheStoreHasComeToRest) {
  store_.reset();
  std::atomic<int> rest_count = 0;
  store_ = open({.idle_checkpoint_after = idle_for,
                 .came_to_rest =
                     [&] {
                       ++rest_count;
                       rest_count.notify_all();
                     },
                 .clock = &clock_});
  ASSERT_NE(store_, nullptr);
  for (const int rests : {0, 1}) {
    commit(rests == 0 ? "one" : "two");
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + idle_for));
    EXPECT_EQ(rest_count, rests);
    clock_.advance(idle_for);
    rest_count.wait(rests);
    EXPECT_TRUE(is_behind_a_checkpoint());
  }
  ASSERT_OK(store_->checkpoint()); // One that somebody asks for says nothing.
  store_.reset();
  EXPECT_EQ(rest_count, 2);
}

/// A file under its name.
class NamedDevice final : public ForwardingDevice {
public:
  NamedDevice(std::shared_ptr<MemoryDisk> disk, std::atomic<int>& look_count)
      : ForwardingDevice(memory_), memory_(std::move(disk)), look_count_(look_count) {}

  [[nodiscard]] DeviceCapabilities capabilities() const override {
    DeviceCapabilities can = memory_.capabilities();
    can.named = true;
    return can;
  }
  Status check_name() override {
    ++look_count_;
    look_count_.notify_all();
    return {};
  }

private:
  MemoryDevice memory_;
  std::atomic<int>& look_count_;
};

TEST_F(IdleCheckpoint, AnIdleStoreLooksForItsFileLessAndLessOften) {
  store_.reset();
  std::atomic<int> look_count = 0;
  auto opened = Store::open(std::make_unique<NamedDevice>(disk_, look_count),
                            {.idle_checkpoint_after = idle_for, .clock = &clock_});
  ASSERT_OK(opened);
  store_ = *std::move(opened);
  const auto look_after = [&](std::chrono::seconds pause) {
    const int before = look_count;
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + pause)) << pause.count();
    clock_.advance(pause);
    look_count.wait(before);
  };
  for (const int pause : {1, 2, 4, 8, 16, 32, 64, 64}) {
    look_after(std::chrono::seconds(pause));
  }
  commit("one"); // From a checkpoint behind it on it is idle once more.
  ASSERT_TRUE(clock_.is_awaited(clock_.now() + idle_for));
  clock_.advance(idle_for);
  wait_for_checkpoint();
  look_after(std::chrono::seconds(2));
  look_after(std::chrono::seconds(4));
}

} // namespace
} // namespace vnvram
