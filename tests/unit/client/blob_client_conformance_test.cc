// What every BlobClient promises of blobs, asked of each implementation.
#include <string>
#include <vector>

#include "unit/client/blob_client_conformance.h"

namespace vnvram::test {
namespace {

class BlobContentConformance : public BlobClientConformance {};

TEST_P(BlobContentConformance, BlobsAreListedByName) {
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

TEST_P(BlobContentConformance, WhatIsBehindABlobsSizeReadsAsZeros) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  Bytes read(5, std::byte{0xff});
  ASSERT_OK(client_->read("eeprom", 1, read));
  EXPECT_EQ(read, (Bytes{std::byte{'b'}, std::byte{'c'}, {}, {}, {}}));
  EXPECT_EQ(content("eeprom"), bytes("abc"));
  Bytes last(1, std::byte{0xff});
  ASSERT_OK(client_->read("eeprom", 4095, last));
  EXPECT_EQ(last, Bytes(1));
}

TEST_P(BlobContentConformance, AWriteLeavesZerosInTheGapBeforeIt) {
  ASSERT_OK(write("eeprom", 2, "x"));
  EXPECT_EQ(content("eeprom"), (Bytes{{}, {}, std::byte{'x'}}));
  EXPECT_EQ(client_->blob("eeprom")->size_bytes, 3U);
}

TEST_P(BlobContentConformance, WhatIsWrittenOnReturnIsDurable) {
  ASSERT_OK(write("eeprom", 0, "abcdef"));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes("abcdef"));
  ASSERT_OK(client_->zero("eeprom", 1, 2, Durability::on_return));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("a\0\0def", 6)));
}

TEST_P(BlobContentConformance, WhatIsDeferredIsSeenAtOnceAndDurableWithAFlush) {
  ASSERT_OK(write("eeprom", 0, "abc", Durability::deferred));
  ASSERT_OK(client_->zero("eeprom", 1, 1, Durability::deferred));
  EXPECT_EQ(content("eeprom"), bytes(std::string_view("a\0c", 3)));
  EXPECT_EQ(host_->after_a_cut("eeprom"), Bytes());
  ASSERT_OK(client_->flush());
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("a\0c", 3)));
}

TEST_P(BlobContentConformance, WhatIsDurableComesBehindWhatWasDeferredBeforeIt) {
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

TEST_P(BlobContentConformance, TheLastOfTwoClientsWritesStays) {
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

TEST_P(BlobContentConformance, ATransactionIsThereAsAWhole) {
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

TEST_P(BlobContentConformance, OfATransactionThatIsRefusedNothingIsThere) {
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

TEST_P(BlobContentConformance, ATransactionThatChangesNothingMakesNoGeneration) {
  ASSERT_OK(write("vars", 0, "stays"));
  const std::uint64_t before = generation();
  Transaction transaction;
  transaction.write("vars", bytes("stays"));
  const auto made = client_->commit(transaction);
  ASSERT_OK(made);
  EXPECT_EQ(*made, before);
  EXPECT_EQ(*client_->commit(Transaction()), before);
}

TEST_P(BlobContentConformance, ASizeCutsAndLengthensWithZeros) {
  ASSERT_OK(write("eeprom", 0, "abcd"));
  Transaction shorter;
  shorter.set_size("eeprom", 2);
  ASSERT_OK(client_->commit(shorter));
  Transaction longer;
  longer.set_size("eeprom", 3);
  ASSERT_OK(client_->commit(longer));
  EXPECT_EQ(host_->after_a_cut("eeprom"), bytes(std::string_view("ab\0", 3)));
}

TEST_P(BlobContentConformance, NothingIsWrittenOrReadBehindALargestSize) {
  EXPECT_KIND(write("eeprom", 4095, "ab"), too_large);
  EXPECT_KIND(write("eeprom", 4096, "a", Durability::deferred), too_large);
  EXPECT_KIND(write("eeprom", ~std::uint64_t{0}, "a"), too_large);
  EXPECT_KIND(client_->zero("eeprom", 1, 4096, Durability::on_return), too_large);
  Bytes read(2);
  EXPECT_KIND(client_->read("eeprom", 4095, read), too_large);
  EXPECT_EQ(content("eeprom"), Bytes());
  ASSERT_OK(write("eeprom", 4095, "a"));
}

TEST_P(BlobContentConformance, ABlobThatIsNotThereIsNotFound) {
  Bytes read(1);
  EXPECT_KIND(client_->blob("nvram"), not_found);
  EXPECT_KIND(client_->read_all("nvram"), not_found);
  EXPECT_KIND(client_->read("nvram", 0, read), not_found);
  EXPECT_KIND(write("nvram", 0, "a"), not_found);
  EXPECT_KIND(write("nvram", 0, "a", Durability::deferred), not_found);
  EXPECT_KIND(client_->zero("nvram", 0, 1, Durability::deferred), not_found);
}

TEST_P(BlobContentConformance, ABlobThatWasRemovedIsNotFoundAndTheOthersStay) {
  ASSERT_OK(write("eeprom", 0, "a"));
  ASSERT_OK(write("vars", 0, "b"));
  host_->remove("eeprom");
  EXPECT_KIND(write("eeprom", 0, "a"), not_found);
  EXPECT_KIND(client_->read_all("eeprom"), not_found);
  EXPECT_EQ(client_->blobs()->size(), 1U);
  EXPECT_EQ(content("vars"), bytes("b"));
}

TEST_P(BlobContentConformance, ABlobIsRegisteredAtALargerSizeAndKeepsItsContent) {
  ASSERT_OK(write("eeprom", 0, "abc"));
  ASSERT_OK(client_->register_blobs(std::vector{spec("eeprom", 8192), spec("vars", 1)}));
  EXPECT_EQ(client_->blob("eeprom")->size_max_bytes, 8192U);
  EXPECT_EQ(client_->blob("vars")->size_max_bytes, large_bytes); // A smaller one is no change.
  ASSERT_OK(write("eeprom", 8191, "z"));
  EXPECT_EQ(host_->after_a_cut("eeprom").size(), 8192U);
  ASSERT_OK(client_->register_blobs(std::vector{spec("nvram", 16)}));
  ASSERT_OK(write("nvram", 0, "new"));
}

TEST_P(BlobContentConformance, WhatCannotBeRegisteredChangesNothing) {
  BlobSpec other_type = spec("eeprom", 8192);
  other_type.type = "other";
  EXPECT_KIND(client_->register_blobs(std::vector{spec("vars", 2 * large_bytes), other_type}),
              type_mismatch);
  EXPECT_KIND(client_->register_blobs(std::vector{spec("", 8192)}), invalid_argument);
  EXPECT_KIND(client_->register_blobs(std::vector{spec("empty", 0)}), invalid_argument);
  EXPECT_EQ(client_->blob("vars")->size_max_bytes, large_bytes);
  EXPECT_EQ(client_->blobs()->size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(All, BlobContentConformance, all_implementations(), implementation_name);

} // namespace
} // namespace vnvram::test
