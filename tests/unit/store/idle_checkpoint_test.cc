// Checkpoints that nobody asks for: when a store has been idle, and not before.
#include <chrono>
#include <thread>

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

} // namespace
} // namespace vnvram
