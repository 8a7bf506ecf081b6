// What every BlobClient promises, asked of each implementation: one more joins by its factory.
#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/client/blob_host.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

using std::chrono::microseconds;

constexpr microseconds not_by_the_clock = std::chrono::hours(1);
constexpr auto deadline = std::chrono::seconds(20);
constexpr std::uint64_t large_bytes = 64U << 10U;

struct Implementation {
  const char* name;
  MakeBlobHost make;
};

class BlobClientConformance : public ::testing::TestWithParam<Implementation> {
protected:
  void SetUp() override { make(not_by_the_clock); }
  void make(microseconds deferral) {
    client_.reset();
    host_ = GetParam().make({spec("vars", large_bytes), spec("eeprom", 4096)}, deferral);
    client_ = host_->connect();
  }
  Status write(std::string_view blob, std::uint64_t offset_bytes, std::string_view text,
               Durability durability = Durability::on_return) {
    return client_->write(blob, offset_bytes, bytes(text), durability);
  }
  std::uint64_t generation() {
    const auto state = client_->state();
    EXPECT_TRUE(state.ok());
    return state ? state->generation : 0;
  }
  Bytes content(std::string_view blob) {
    auto read = client_->read_all(blob);
    EXPECT_TRUE(read.ok());
    return read ? *std::move(read) : Bytes();
  }

  std::unique_ptr<BlobHost> host_;
  std::unique_ptr<BlobClient> client_;
};

TEST_P(BlobClientConformance, BlobsAreListedByName) {
  const auto blobs = client_->blobs();
  ASSERT_OK(blobs);
  ASSERT_EQ(blobs->size(), 2U);
  EXPECT_EQ(blobs->at(0).name, "eeprom");
  EXPECT_EQ(blobs->at(0).type, "test");
  EXPECT_EQ(blobs->at(0).size_max_bytes, 4096U);
  EXPECT_EQ(blobs->at(0).size_bytes, 0U);
  EXPECT_EQ(blobs->at(0).generation, 0U);
  EXPECT_EQ(blobs->at(1).name, "vars");
}

TEST_P(BlobClientConformance, WhatIsBehindABlobsSizeReadsAsZeros) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  Bytes read(5, std::byte{0xff});
  ASSERT_OK(client_->read("eeprom", 1, read));
  EXPECT_EQ(read, (Bytes{std::byte{'b'}, std::byte{'c'}, {}, {}, {}}));
  EXPECT_EQ(content("eeprom"), bytes("abc"));
  Bytes last(1, std::byte{0xff});
  ASSERT_OK(client_->read("eeprom", 4095, last));
  EXPECT_EQ(last, Bytes(1));
}

TEST_P(BlobClientConformance, AWriteLeavesZerosInTheGapBeforeIt) {
  ASSERT_OK(write("eeprom", 2, "x"));
  EXPECT_EQ(content("eeprom"), (Bytes{{}, {}, std::byte{'x'}}));
  EXPECT_EQ(client_->blob("eeprom")->size_bytes, 3U);
}

TEST_P(BlobClientConformance, WhatIsWrittenOnReturnIsDurable) {
  ASSERT_OK(write("eeprom", 0, "abcdef"));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("abcdef"));
  ASSERT_OK(client_->zero("eeprom", 1, 2, Durability::on_return));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("a\0\0def", 6)));
}

TEST_P(BlobClientConformance, WhatIsDeferredIsSeenAtOnceAndDurableWithAFlush) {
  ASSERT_OK(write("eeprom", 0, "abc", Durability::deferred));
  ASSERT_OK(client_->zero("eeprom", 1, 1, Durability::deferred));
  EXPECT_EQ(content("eeprom"), bytes(std::string_view("a\0c", 3)));
  EXPECT_EQ(host_->after_a_cut("eeprom"), Bytes());
  ASSERT_OK(client_->flush());
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("a\0c", 3)));
}

TEST_P(BlobClientConformance, WhatIsDurableComesBehindWhatWasDeferredBeforeIt) {
  ASSERT_OK(write("vars", 0, "first", Durability::deferred));
  ASSERT_OK(write("eeprom", 0, "second"));
  EXPECT_EQ(host_->after_a_cut("vars"), bytes("first"));
  ASSERT_OK(write("vars", 0, "third", Durability::deferred));
  Transaction transaction;
  transaction.write("eeprom", bytes("fourth"));
  ASSERT_OK(client_->commit(transaction));
  EXPECT_EQ(host_->after_a_cut("vars"), bytes("third"));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("fourth"));
}

TEST_P(BlobClientConformance, TheLastOfTwoClientsWritesStays) {
  const auto other = host_->connect();
  ASSERT_OK(write("eeprom", 0, "aaaa", Durability::deferred));
  if (host_->gives_rights_to_one()) {
    EXPECT_KIND(other->write("eeprom", 2, bytes("bb"), Durability::deferred), in_use);
    EXPECT_EQ(*other->read_all("eeprom"), bytes("aaaa"));
    ASSERT_OK(other->flush()); // For the writes of all.
    EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("aaaa"));
    return;
  }
  ASSERT_OK(other->write("eeprom", 2, bytes("bb"), Durability::deferred));
  EXPECT_EQ(content("eeprom"), bytes("aabb"));
  ASSERT_OK(write("eeprom", 3, "c", Durability::deferred));
  ASSERT_OK(other->flush()); // For the writes of all.
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("aabc"));
}

TEST_P(BlobClientConformance, ATransactionIsThereAsAWhole) {
  ASSERT_OK(write("vars", 0, "the first content"));
  const std::uint64_t before = generation();
  Transaction transaction;
  transaction.write("vars", bytes("other"));
  transaction.set_size("eeprom", 4);
  transaction.write_range("eeprom", 1, bytes("x"));
  const auto made = client_->commit(transaction);
  ASSERT_OK(made);
  EXPECT_EQ(*made, before + 1);
  EXPECT_EQ(generation(), *made);
  EXPECT_EQ(client_->blob("vars")->generation, *made);
  EXPECT_EQ(client_->blob("eeprom")->generation, *made);
  EXPECT_EQ(host_->after_a_cut("vars"), bytes("other"));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("\0x\0\0", 4)));
}

TEST_P(BlobClientConformance, OfATransactionThatIsRefusedNothingIsThere) {
  ASSERT_OK(write("vars", 0, "stays"));
  const std::uint64_t before = generation();
  Transaction unknown;
  unknown.write("vars", bytes("goes"));
  unknown.write("nvram", bytes("goes"));
  EXPECT_KIND(client_->commit(unknown), not_found);
  Transaction too_large;
  too_large.write("vars", bytes("goes"));
  too_large.set_size("eeprom", 4097);
  EXPECT_KIND(client_->commit(too_large), too_large);
  EXPECT_EQ(content("vars"), bytes("stays"));
  EXPECT_EQ(generation(), before);
}

TEST_P(BlobClientConformance, ATransactionThatChangesNothingMakesNoGeneration) {
  ASSERT_OK(write("vars", 0, "stays"));
  const std::uint64_t before = generation();
  Transaction transaction;
  transaction.write("vars", bytes("stays"));
  const auto made = client_->commit(transaction);
  ASSERT_OK(made);
  EXPECT_EQ(*made, before);
  EXPECT_EQ(*client_->commit(Transaction()), before);
}

TEST_P(BlobClientConformance, ASizeCutsAndLengthensWithZeros) {
  ASSERT_OK(write("eeprom", 0, "abcd"));
  Transaction shorter;
  shorter.set_size("eeprom", 2);
  ASSERT_OK(client_->commit(shorter));
  Transaction longer;
  longer.set_size("eeprom", 3);
  ASSERT_OK(client_->commit(longer));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("ab\0", 3)));
}

TEST_P(BlobClientConformance, NothingIsWrittenOrReadBehindALargestSize) {
  EXPECT_KIND(write("eeprom", 4095, "ab"), too_large);
  EXPECT_KIND(write("eeprom", 4096, "a", Durability::deferred), too_large);
  EXPECT_KIND(write("eeprom", ~std::uint64_t{0}, "a"), too_large);
  EXPECT_KIND(client_->zero("eeprom", 1, 4096, Durability::on_return), too_large);
  Bytes read(2);
  EXPECT_KIND(client_->read("eeprom", 4095, read), too_large);
  EXPECT_EQ(content("eeprom"), Bytes());
  ASSERT_OK(write("eeprom", 4095, "a"));
}

TEST_P(BlobClientConformance, ABlobThatIsNotThereIsNotFound) {
  Bytes read(1);
  EXPECT_KIND(client_->blob("nvram"), not_found);
  EXPECT_KIND(client_->read_all("nvram"), not_found);
  EXPECT_KIND(client_->read("nvram", 0, read), not_found);
  EXPECT_KIND(write("nvram", 0, "a"), not_found);
  EXPECT_KIND(write("nvram", 0, "a", Durability::deferred), not_found);
  EXPECT_KIND(client_->zero("nvram", 0, 1, Durability::deferred), not_found);
}

TEST_P(BlobClientConformance, ABlobThatWasRemovedIsNotFoundAndTheOthersStay) {
  ASSERT_OK(write("eeprom", 0, "a"));
  ASSERT_OK(write("vars", 0, "b"));
  host_->remove("eeprom");
  EXPECT_KIND(write("eeprom", 0, "a"), not_found);
  EXPECT_KIND(client_->read_all("eeprom"), not_found);
  EXPECT_EQ(client_->blobs()->size(), 1U);
  EXPECT_EQ(content("vars"), bytes("b"));
}

TEST_P(BlobClientConformance, ABlobIsRegisteredAtALargerSizeAndKeepsItsContent) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  ASSERT_OK(client_->register_blobs(std::vector{spec("eeprom", 8192), spec("vars", 1)}));
  EXPECT_EQ(client_->blob("eeprom")->size_max_bytes, 8192U);
  EXPECT_EQ(client_->blob("vars")->size_max_bytes, large_bytes); // A smaller one is no change.
  ASSERT_OK(write("eeprom", 8191, "z"));
  EXPECT_EQ(host_->after_a_cut("eeprom").size(), 8192U);
  ASSERT_OK(client_->register_blobs(std::vector{spec("nvram", 16)}));
  ASSERT_OK(write("nvram", 0, "new"));
}

TEST_P(BlobClientConformance, WhatCannotBeRegisteredChangesNothing) {
  BlobSpec other_type = spec("eeprom", 8192);
  other_type.type = "other";
  EXPECT_KIND(client_->register_blobs(std::vector{spec("vars", 2 * large_bytes), other_type}),
              type_mismatch);
  EXPECT_KIND(client_->register_blobs(std::vector{spec("", 8192)}), invalid_argument);
  EXPECT_KIND(client_->register_blobs(std::vector{spec("empty", 0)}), invalid_argument);
  EXPECT_EQ(client_->blob("vars")->size_max_bytes, large_bytes);
  EXPECT_EQ(client_->blobs()->size(), 2U);
}

TEST_P(BlobClientConformance, TheStateSaysHowMuchRoomThereIs) {
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

TEST_P(BlobClientConformance, ASealedImageIsReadAndNotChanged) {
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

TEST_P(BlobClientConformance, WhatWasHandedOverIsSealedUntilItIsTakenBack) {
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

TEST_P(BlobClientConformance, WhatIsNotThereIsNotClaimed) {
  EXPECT_KIND(client_->claim({"eeprom", "nobody"}), not_found);
  ASSERT_OK(client_->claim({"eeprom", "vars"}));
  ASSERT_OK(client_->claim({}));
  host_->detach();
  EXPECT_KIND(client_->hand_over(), absent);
  EXPECT_KIND(client_->take_back(), absent);
  EXPECT_KIND(client_->look_again(), absent);
}

TEST_P(BlobClientConformance, AnImageThatNobodyElseChangesIsFoundAsItWasLeft) {
  ASSERT_OK(write("vars", 0, "deferred", Durability::deferred));
  const auto changed = client_->look_again();
  ASSERT_OK(changed);
  EXPECT_FALSE(*changed);
  EXPECT_EQ(content("vars"), bytes("deferred"));
}

TEST_P(BlobClientConformance, AClientOutlivesTheImage) {
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

TEST_P(BlobClientConformance, WhatTheOwnerHoldsWaitsAndReadersDoNot) {
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

TEST_P(BlobClientConformance, EveryCallMayComeFromAnyThread) {
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

TEST_P(BlobClientConformance, ACloseLeavesNothingUndone) {
  ASSERT_OK(write("eeprom", 0, "last", Durability::deferred));
  ASSERT_OK(client_->close());
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("last"));
  client_.reset();
  EXPECT_EQ(*host_->connect()->read_all("eeprom"), bytes("last"));
}

TEST_P(BlobClientConformance, AWriteThatFailsPoisonsAndWhatWasDurableStays) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  host_->break_device();
  EXPECT_KIND(write("eeprom", 0, "xyz"), io);
  Transaction transaction;
  transaction.write("eeprom", bytes("xyz"));
  EXPECT_KIND(client_->commit(transaction), poisoned);
  EXPECT_KIND(write("eeprom", 0, "xyz", Durability::deferred), poisoned);
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("abc"));
}

TEST_P(BlobClientConformance, WhatFailsInTheBackgroundIsToldToWhoWatches) {
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

INSTANTIATE_TEST_SUITE_P(All, BlobClientConformance,
                         ::testing::Values(Implementation{"Local", make_local_blob_host},
                                           Implementation{"Remote", make_remote_blob_host},
                                           Implementation{"Lasting", make_lasting_blob_host},
                                           Implementation{"Memory", make_memory_blob_host}),
                         [](const auto& each) { return std::string(each.param.name); });

} // namespace
} // namespace vnvram::test
