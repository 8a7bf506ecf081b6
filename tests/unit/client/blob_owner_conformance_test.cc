// What every BlobClient promises of an image that is sealed, held, let go or broken, and of its
// owner's end, asked of each implementation.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "unit/client/blob_client_conformance.h"

namespace vnvram::test {
namespace {

class BlobOwnerConformance : public BlobClientConformance {};

TEST_P(BlobOwnerConformance, TheStateSaysHowMuchRoomThereIs) {
  const auto before = client_->state();
  ASSERT_OK(before);
  EXPECT_FALSE(before->sealed);
  ASSERT_OK(client_->register_blobs(std::vector{spec("more", 10U << 12U)}));
  EXPECT_EQ(client_->state()->space_free_bytes, before->space_free_bytes - (10U << 12U));
  std::vector<BlobSpec> too_many;
  for (std::uint64_t bytes_left = before->space_free_bytes; bytes_left > 0;) {
    const std::uint64_t size_bytes = std::min(bytes_left, before->blob_size_max_bytes);
    too_many.push_back(spec("fill" + std::to_string(too_many.size()), size_bytes));
    bytes_left -= size_bytes;
  }
  EXPECT_KIND(client_->register_blobs(too_many), no_space);
}

TEST_P(BlobOwnerConformance, ASealedImageIsReadAndNotChanged) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  host_->seal();
  EXPECT_TRUE(client_->state()->sealed);
  EXPECT_KIND(write("eeprom", 0, "x"), sealed);
  EXPECT_KIND(write("eeprom", 0, "x", Durability::deferred), sealed);
  Transaction transaction;
  transaction.write("eeprom", bytes("x"));
  EXPECT_KIND(client_->commit(transaction), sealed);
  ASSERT_OK(client_->flush());
  EXPECT_EQ(content("eeprom"), bytes("abc"));
  host_->unseal();
  ASSERT_OK(write("eeprom", 0, "x"));
}

TEST_P(BlobOwnerConformance, WhatWasHandedOverIsSealedUntilItIsTakenBack) {
  ASSERT_OK(client_->claim({"eeprom"}));
  ASSERT_OK(write("eeprom", 0, "abc"));
  ASSERT_OK(client_->hand_over());
  EXPECT_TRUE(client_->state()->sealed);
  EXPECT_KIND(write("eeprom", 0, "x"), sealed);
  ASSERT_OK(client_->hand_over());
  ASSERT_OK(client_->take_back());
  EXPECT_FALSE(client_->state()->sealed);
  ASSERT_OK(write("eeprom", 0, "x"));
  ASSERT_OK(client_->take_back());
}

TEST_P(BlobOwnerConformance, WhatIsNotThereIsNotClaimed) {
  EXPECT_KIND(client_->claim({"eeprom", "nobody"}), not_found);
  ASSERT_OK(client_->claim({"eeprom", "vars"}));
  ASSERT_OK(client_->claim({}));
  host_->detach();
  EXPECT_KIND(client_->hand_over(), absent);
  EXPECT_KIND(client_->take_back(), absent);
  EXPECT_KIND(client_->look_again(), absent);
}

TEST_P(BlobOwnerConformance, AnImageThatNobodyElseChangesIsFoundAsItWasLeft) {
  ASSERT_OK(write("vars", 0, "deferred", Durability::deferred));
  const auto changed = client_->look_again();
  ASSERT_OK(changed);
  EXPECT_FALSE(*changed);
  EXPECT_EQ(content("vars"), bytes("deferred"));
}

TEST_P(BlobOwnerConformance, AClientOutlivesTheImage) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  host_->detach();
  EXPECT_KIND(client_->state(), absent);
  EXPECT_KIND(client_->blobs(), absent);
  EXPECT_KIND(client_->read_all("eeprom"), absent);
  EXPECT_KIND(write("eeprom", 0, "x"), absent);
  EXPECT_KIND(client_->flush(), absent);
  host_->attach();
  EXPECT_EQ(content("eeprom"), bytes("abc"));
  ASSERT_OK(write("eeprom", 0, "x"));
}

TEST_P(BlobOwnerConformance, WhatTheOwnerHoldsWaitsAndReadersDoNot) {
  ASSERT_OK(write("vars", 0, "before", Durability::deferred));
  host_->hold();
  EXPECT_EQ(host_->after_a_cut("vars"), bytes("before")); // A hold leaves nothing on its way.
  std::atomic<bool> released = false;
  std::promise<void> starts;
  std::thread writer([&] {
    starts.set_value();
    EXPECT_TRUE(write("vars", 0, "behind").ok());
    EXPECT_TRUE(released);
  });
  starts.get_future().wait();
  for (int look = 0; look < 100; ++look) {
    EXPECT_EQ(content("vars"), bytes("before"));
    EXPECT_TRUE(client_->flush().ok());
  }
  released = true;
  host_->release();
  writer.join();
  EXPECT_EQ(host_->after_a_cut("vars"), bytes("behind"));
}

TEST_P(BlobOwnerConformance, EveryCallMayComeFromAnyThread) {
  constexpr int writers = 4;
  constexpr int rounds = 50;
  constexpr std::size_t range_bytes = 6000; // Several pages: what tears shows.
  ASSERT_OK(client_->write("vars", 0, Bytes(writers * range_bytes), Durability::on_return));
  std::vector<std::thread> threads;
  threads.reserve(writers);
  for (int number = 0; number < writers; ++number) {
    threads.emplace_back([&, number] {
      const auto offset_bytes = static_cast<std::uint64_t>(number) * range_bytes;
      for (int round = 1; round <= rounds; ++round) {
        const Bytes same(range_bytes, static_cast<std::byte>(round));
        EXPECT_TRUE(client_
                        ->write("vars", offset_bytes, same,
                                round % 3 == 0 ? Durability::on_return : Durability::deferred)
                        .ok());
        Bytes neighbours(range_bytes);
        EXPECT_TRUE(
            client_
                ->read("vars", (offset_bytes + range_bytes) % (writers * range_bytes), neighbours)
                .ok());
        EXPECT_EQ(std::count(neighbours.begin(), neighbours.end(), neighbours.front()),
                  static_cast<std::ptrdiff_t>(range_bytes));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  ASSERT_OK(client_->flush());
  EXPECT_EQ(host_->after_a_cut("vars"),
            Bytes(writers * range_bytes, static_cast<std::byte>(rounds)));
}

TEST_P(BlobOwnerConformance, ACloseLeavesNothingUndone) {
  ASSERT_OK(write("eeprom", 0, "last", Durability::deferred));
  ASSERT_OK(client_->close());
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("last"));
  client_.reset();
  EXPECT_EQ(*host_->connect()->read_all("eeprom"), bytes("last"));
}

TEST_P(BlobOwnerConformance, AWriteThatFailsPoisonsAndWhatWasDurableStays) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  host_->break_device();
  EXPECT_KIND(write("eeprom", 0, "xyz"), io);
  Transaction transaction;
  transaction.write("eeprom", bytes("xyz"));
  EXPECT_KIND(client_->commit(transaction), poisoned);
  EXPECT_KIND(write("eeprom", 0, "xyz", Durability::deferred), poisoned);
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("abc"));
}

TEST_P(BlobOwnerConformance, WhatFailsInTheBackgroundIsToldToWhoWatches) {
  make(microseconds(1));
  const auto watches = host_->connect();
  std::atomic<bool> earlier_ran = false;
  std::promise<ErrorKind> told;
  std::atomic<int> count = 0;
  watches->watch_failures([&](const Error&) { earlier_ran = true; });
  watches->watch_failures([&](const Error& error) {
    if (count++ == 0) {
      told.set_value(error.kind());
    }
  });
  host_->break_device();
  ASSERT_OK(write("eeprom", 0, "abc", Durability::deferred));
  auto kind = told.get_future();
  ASSERT_EQ(kind.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(kind_name(kind.get()), "io");
  EXPECT_FALSE(earlier_ran);
  EXPECT_KIND(client_->flush(), poisoned);
}

INSTANTIATE_TEST_SUITE_P(All, BlobOwnerConformance, all_implementations(), implementation_name);

} // namespace
} // namespace vnvram::test
