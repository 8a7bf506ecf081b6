// What close() waits for, and callbacks that are still due then.
#include <poll.h>

#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Closing : public StoreFixture {
protected:
  static void wait_for_callback(const Store& store) {
    pollfd wait{store.event_fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 10000), 1);
  }
  static Transaction write_of(std::string_view blob, Bytes content) {
    Transaction transaction;
    transaction.write(blob, std::move(content));
    return transaction;
  }
};

TEST_F(Closing, ACallbackMayFillTheRingManyTimes) {
  create({spec("a", 20000)}, std::uint64_t{1} << 20U, 64 * 1024);
  OpenOptions options;
  options.callbacks = CallbackMode::event_fd;
  auto store = open(options);
  store->commit_async(write_of("a", bytes("first")), [&](const Status& first) {
    ASSERT_OK(first);
    for (unsigned i = 1; i <= 50; ++i) {
      ASSERT_OK(store->write("a", pattern(20000, i)));
    }
  });
  wait_for_callback(*store);
  ASSERT_OK(store->close());
  store.reset();
  EXPECT_EQ(*open()->read("a"), pattern(20000, 50));
}

TEST_F(Closing, CallbacksOfCommitsThatCallbacksMakeRunBeforeItReturns) {
  for (const CallbackMode mode : {CallbackMode::event_fd, CallbackMode::store_thread}) {
    create({spec("a", 100)});
    OpenOptions options;
    options.callbacks = mode;
    auto store = open(options);
    int answered = 0;
    const std::function<void(Status)> again = [&](const Status& status) {
      ASSERT_OK(status);
      if (++answered < 20) {
        store->commit_async(write_of("a", Bytes(10, static_cast<std::byte>(answered))), again);
      }
    };
    store->commit_async(write_of("a", bytes("first")), again);
    ASSERT_OK(store->close());
    EXPECT_EQ(answered, 20);
    EXPECT_TRUE(open_read_only()->info().clean);
    EXPECT_EQ(*open_read_only()->read("a"), Bytes(10, std::byte{19}));
  }
}

TEST_F(Closing, ACommitWithoutACallbackIsCarriedOut) {
  create({spec("a", 100)});
  for (const bool background : {true, false}) {
    OpenOptions options;
    options.background = background;
    auto store = open(options);
    for (int i = 0; i < 100; ++i) {
      store->commit_async(write_of("a", Bytes(10, static_cast<std::byte>(i))), nullptr);
      ASSERT_OK(store->write_range("a", 50, Bytes(1, static_cast<std::byte>(i))));
    }
    store->commit_async(write_of("a", bytes("last")), nullptr);
    ASSERT_OK(store->close());
    EXPECT_EQ(*open_read_only()->read("a"), bytes("last"));
  }
}

} // namespace
} // namespace vnvram
