// What becomes of deferred writes when something goes wrong while they wait.
#include <pthread.h>

#include <new>
#include <thread>

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
