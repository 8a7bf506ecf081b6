// The C API: transactions, and commits that call back.
#include <poll.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

TEST_F(CApi, CommitsAllOrNothing) {
  create({spec("a", 100), spec("b", 100)});
  open();
  vnvram_transaction* transaction = begin();
  std::string bytes = "copied";
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", bytes.data(), bytes.size(), nullptr),
            VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_write_range(transaction, "b", 2, bytes.data(), 3, nullptr),
            VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_set_size(transaction, "b", 4, nullptr), VNVRAM_OK);
  bytes.assign(6, '!'); // The transaction has its own copy.
  ASSERT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_OK);
  EXPECT_EQ(read("a"), "copied");
  EXPECT_EQ(read("b"), std::string("\0\0co", 4));

  transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_write(transaction, "none", "x", 1, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_NOT_FOUND);
  transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_set_size(transaction, "b", 101, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_TOO_LARGE);
  EXPECT_EQ(read("a"), "copied");
  vnvram_transaction_free(begin());
}

TEST_F(CApi, ATransactionMayZeroARange) {
  create({spec("a", 10000)});
  open();
  write("a", std::string(9000, 'a'));
  vnvram_transaction* transaction = begin();
  ASSERT_EQ(vnvram_transaction_zero_range(transaction, "a", 10, 9500, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_write_range(transaction, "a", 20, "b", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_OK);
  std::string expected(9510, '\0');
  expected.replace(0, 10, 10, 'a');
  expected[20] = 'b';
  EXPECT_EQ(read("a"), expected);
  transaction = begin();
  ASSERT_EQ(vnvram_transaction_zero_range(transaction, "a", 1, ~uint64_t{0}, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_TOO_LARGE);
  EXPECT_EQ(read("a"), expected);
}

struct Completions {
  std::vector<vnvram_kind> kinds;
  std::promise<void> one;
};

void note_completion(void* opaque, const vnvram_error* error) {
  static_cast<Completions*>(opaque)->kinds.push_back(error == nullptr ? VNVRAM_OK
                                                                      : vnvram_error_kind(error));
}

void fulfil(void* opaque, const vnvram_error* error) {
  note_completion(opaque, error);
  static_cast<Completions*>(opaque)->one.set_value();
}

TEST_F(CApi, CallsBackWhereTheEventDescriptorIsDispatched) {
  create({spec("a", 100)});
  open(VNVRAM_OPEN_EVENT_FD);
  Completions completions;
  for (const char* blob : {"a", "none", "a"}) {
    vnvram_transaction* transaction = begin();
    ASSERT_EQ(vnvram_transaction_write(transaction, blob, blob, 1, nullptr), VNVRAM_OK);
    ASSERT_EQ(vnvram_commit_async(store_, transaction, note_completion, &completions, nullptr),
              VNVRAM_OK);
  }
  pollfd descriptor{vnvram_event_fd(store_), POLLIN, 0};
  ASSERT_GE(descriptor.fd, 0);
  size_t dispatched = 0;
  while (dispatched < 3) {
    ASSERT_EQ(poll(&descriptor, 1, 20000), 1);
    dispatched += vnvram_dispatch(store_);
  }
  EXPECT_EQ(vnvram_dispatch(store_), 0U);
  EXPECT_EQ(poll(&descriptor, 1, 0), 0);
  EXPECT_EQ(completions.kinds, (std::vector<vnvram_kind>{VNVRAM_OK, VNVRAM_NOT_FOUND, VNVRAM_OK}));
}

TEST_F(CApi, CallsBackAtCloseWhatWasNotDispatched) {
  create({spec("a", 100)});
  open(VNVRAM_OPEN_EVENT_FD);
  Completions completions;
  vnvram_transaction* transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_commit_async(store_, transaction, note_completion, &completions, nullptr),
            VNVRAM_OK);
  close();
  EXPECT_EQ(completions.kinds, std::vector<vnvram_kind>{VNVRAM_OK});
}

TEST_F(CApi, CallsBackOnAThreadOfTheStore) {
  create({spec("a", 100)});
  open();
  EXPECT_EQ(vnvram_event_fd(store_), -1);
  Completions completions;
  vnvram_transaction* transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_commit_async(store_, transaction, fulfil, &completions, nullptr), VNVRAM_OK);
  ASSERT_EQ(completions.one.get_future().wait_for(std::chrono::seconds(20)),
            std::future_status::ready);
  EXPECT_EQ(completions.kinds, std::vector<vnvram_kind>{VNVRAM_OK});
}

} // namespace
} // namespace vnvram::test
