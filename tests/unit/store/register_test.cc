// Registering and reconciling.
#include "format/layout.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Register : public StoreFixture {};

TEST_F(Register, WhatIsThereIsLeftAlone) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("x")));
  const std::uint64_t generation = store->info().generation;
  const BlobSpec again[] = {spec("a", 100)};
  ASSERT_OK(store->register_blobs(again));
  const BlobSpec smaller[] = {spec("a", 50)};
  ASSERT_OK(store->register_blobs(smaller));
  EXPECT_EQ(store->info().generation, generation);
  EXPECT_EQ(store->blob("a")->size_max_bytes, 100U);
}

TEST_F(Register, ALargerSizeGrowsAndKeepsTheBytes) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("kept")));
  const BlobSpec larger[] = {spec("a", 50000)};
  ASSERT_OK(store->register_blobs(larger));
  EXPECT_EQ(*store->read("a"), bytes("kept"));
  ASSERT_OK(store->write("a", pattern(50000, 7)));
  ASSERT_OK(store->write("b", pattern(100, 8)));
  forget_owner();
  auto next = open();
  EXPECT_EQ(*next->read("a"), pattern(50000, 7));
  EXPECT_EQ(*next->read("b"), pattern(100, 8));
}

TEST_F(Register, ASetIsRegisteredWholeOrNotAtAll) {
  create({spec("a", 100)});
  auto store = open();
  const std::uint64_t generation = store->info().generation;
  BlobSpec other_type = spec("a", 100);
  other_type.type = "other";
  const BlobSpec mismatch[] = {spec("new", 100), other_type};
  EXPECT_KIND(store->register_blobs(mismatch), type_mismatch);
  const BlobSpec too_much[] = {spec("new", 100), spec("huge", 1000000), spec("huge2", 1000000)};
  EXPECT_KIND(store->register_blobs(too_much), no_space);
  const BlobSpec too_large[] = {spec("new", 100), spec("giant", 8 << 20)};
  EXPECT_KIND(store->register_blobs(too_large), too_large);
  BlobSpec bad_name = spec("a b", 100);
  const BlobSpec invalid[] = {spec("new", 100), bad_name};
  EXPECT_KIND(store->register_blobs(invalid), invalid_argument);
  EXPECT_KIND(store->blob("new"), not_found);
  EXPECT_EQ(store->info().generation, generation);
}

TEST_F(Register, OpeningRegistersItsBlobs) {
  create({});
  OpenOptions options = inline_options();
  options.blobs = {spec("a", 100), spec("b", 200)};
  {
    auto store = open(options);
    EXPECT_EQ(store->info().blob_count, 2U);
    ASSERT_OK(store->close());
  }
  const std::uint64_t generation = open_read_only()->info().generation;
  auto store = open(options);
  EXPECT_EQ(store->info().generation, generation);
  ASSERT_OK(store->close());
  options.access = Access::read_only;
  options.blobs.push_back(spec("c", 1));
  EXPECT_KIND(try_open(options), not_found);
}

TEST_F(Register, ARemovedBlobsSpaceShowsNoOldBytes) {
  create({spec("a", 200000)});
  auto store = open();
  ASSERT_OK(store->write("a", pattern(200000, 1)));
  const std::uint64_t free_bytes = store->info().space_free_bytes;
  ASSERT_OK(store->remove_blob("a"));
  EXPECT_KIND(store->read("a"), not_found);
  EXPECT_KIND(store->remove_blob("a"), not_found);
  EXPECT_EQ(store->info().space_free_bytes, free_bytes + (49 * block_size_bytes));
  const BlobSpec next[] = {spec("next", 200000)};
  ASSERT_OK(store->register_blobs(next));
  Bytes range(200000);
  ASSERT_OK(store->read_range("next", 0, range));
  EXPECT_EQ(range, Bytes(200000));
  forget_owner();
  ASSERT_OK(open()->read_range("next", 0, range));
  EXPECT_EQ(range, Bytes(200000));
}

TEST_F(Register, FragmentedSpaceIsUsedInPieces) {
  create({});
  auto store = open();
  std::vector<std::string> names;
  for (int i = 0;; ++i) {
    const BlobSpec one[] = {spec("b" + std::to_string(i), 100000)};
    const Status done = store->register_blobs(one);
    if (!done) {
      EXPECT_EQ(done.error().kind(), ErrorKind::no_space);
      break;
    }
    names.push_back(one[0].name);
  }
  ASSERT_GT(names.size(), 4U);
  ASSERT_OK(store->remove_blob(names[0]));
  ASSERT_OK(store->remove_blob(names[2]));
  const BlobSpec pieces[] = {spec("pieces", 180000)};
  ASSERT_OK(store->register_blobs(pieces));
  ASSERT_OK(store->write("pieces", pattern(180000, 4)));
  ASSERT_OK(store->write(names[1], pattern(100000, 5)));
  forget_owner();
  auto next = open();
  EXPECT_EQ(*next->read("pieces"), pattern(180000, 4));
  EXPECT_EQ(*next->read(names[1]), pattern(100000, 5));
}

// What it is in is listed in its entry, which has room for so many pieces.
TEST_F(Register, ABlobInAsManyPiecesAsItMayBeInDoesNotGrowByAnother) {
  create({});
  auto store = open();
  constexpr std::size_t pieces = format::page_runs_max;
  std::vector<BlobSpec> pages;
  for (std::size_t i = 0; i < 2 * pieces; ++i) {
    pages.push_back(spec("p" + std::to_string(i), 1));
  }
  ASSERT_OK(store->register_blobs(pages));
  std::size_t rest = 0;
  for (std::uint64_t size = 64 * block_size_bytes; size > 0;) { // No page is free any more.
    const BlobSpec filler[] = {spec("rest" + std::to_string(rest), size)};
    if (store->register_blobs(filler)) {
      ++rest;
    } else {
      size = size > block_size_bytes ? size / 2 : 0;
    }
  }
  for (std::size_t i = 0; i < pages.size(); i += 2) {
    ASSERT_OK(store->remove_blob(pages[i].name));
  }
  const BlobSpec in_pieces[] = {spec("a", pieces * block_size_bytes)};
  ASSERT_OK(store->register_blobs(in_pieces));
  ASSERT_OK(store->write("a", pattern(pieces * block_size_bytes, 1)));
  ASSERT_OK(store->remove_blob("rest0"));
  const BlobSpec larger[] = {spec("a", (pieces + 1) * block_size_bytes)};
  const Status grown = store->register_blobs(larger);
  ASSERT_OK(store->close());
  store.reset();
  store = open();
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(*store->read("a") == pattern(pieces * block_size_bytes, 1));
  EXPECT_KIND(grown, no_space);
}

TEST_F(Register, AttributesThatMustBeKnownGuardTheBytes) {
  BlobSpec guarded = spec("a", 100);
  guarded.attributes = {{"compressed", "zstd", true}, {"note", "anything", false}};
  create({guarded});
  auto store = open();
  EXPECT_EQ(store->blob("a")->attributes, guarded.attributes);
  EXPECT_KIND(store->write("a", bytes("x")), too_new);
  EXPECT_KIND(store->read("a"), too_new);
  ASSERT_OK(store->close());
  OpenOptions knows = inline_options();
  knows.known_attributes = {"compressed"};
  auto knowing = open(knows);
  ASSERT_OK(knowing->write("a", bytes("x")));
  EXPECT_EQ(*knowing->read("a"), bytes("x"));
}

TEST_F(Register, WhoRegistersAnAttributeKnowsIt) {
  create({});
  auto store = open();
  BlobSpec marked = spec("a", 100);
  marked.attributes = {{"sealed", "yes", true}};
  const BlobSpec specs[] = {marked};
  ASSERT_OK(store->register_blobs(specs));
  ASSERT_OK(store->write("a", bytes("x")));
  EXPECT_EQ(*store->read("a"), bytes("x"));
  store.reset();
  EXPECT_KIND(open()->read("a"), too_new);
}

TEST_F(Register, ContentComesWithTheRegistration) {
  create({spec("a", 100)});
  auto store = open();
  const std::uint64_t generation = store->info().generation;
  const NewBlob blobs[] = {
      {spec("vars", 540672), pattern(540672, 1)}, {spec("empty", 10), Bytes{}}, {spec("bare", 10)}};
  ASSERT_OK(store->register_blobs(blobs));
  EXPECT_EQ(store->info().generation, generation + 1);
  EXPECT_EQ(*store->read("vars"), pattern(540672, 1));
  EXPECT_EQ(store->blob("vars")->generation, generation + 1);
  EXPECT_EQ(store->blob("vars")->registered_generation, generation + 1);
  EXPECT_EQ(store->blob("empty")->generation, generation + 1);
  EXPECT_EQ(store->blob("bare")->generation, 0U);
  ASSERT_OK(store->write("vars", pattern(540672, 2)));
  forget_owner();
  EXPECT_EQ(*open()->read("vars"), pattern(540672, 2));
}

// The largest sizes of a TPM 2.0, an OVMF of 4 MiB, an EEPROM.
TEST_F(Register, AnImageOfTheSmallestRecommendedSizeTakesUefiVariablesBesideATpm) {
  const std::vector<BlobSpec> tpm = {spec("a", 256 << 10), spec("b", 128 << 10),
                                     spec("c", 64 << 10)};
  create(tpm, *recommended_size_bytes(tpm));
  auto store = open();
  EXPECT_EQ(store->info().image_size_bytes, 4U << 20U);
  const NewBlob more[] = {{spec("vars", 540672), pattern(540672, 1)}, {spec("eeprom", 8 << 10)}};
  ASSERT_OK(store->register_blobs(more));
}

TEST_F(Register, ContentGoesToWhatWasNeverWrittenOnly) {
  create({spec("new", 100), spec("used", 100), spec("emptied", 100)});
  auto store = open();
  ASSERT_OK(store->write("used", bytes("kept")));
  ASSERT_OK(store->write("emptied", Bytes{}));
  const NewBlob blobs[] = {{spec("new", 5000), pattern(5000, 1)},
                           {spec("used", 5000), pattern(5000, 2)},
                           {spec("emptied", 5000), pattern(5000, 3)}};
  ASSERT_OK(store->register_blobs(blobs));
  EXPECT_EQ(*store->read("new"), pattern(5000, 1));
  EXPECT_EQ(*store->read("used"), bytes("kept"));
  EXPECT_EQ(store->blob("used")->size_max_bytes, 5000U);
  EXPECT_EQ(store->read("emptied")->size(), 0U);
  const std::uint64_t generation = store->info().generation;
  ASSERT_OK(store->register_blobs(blobs));
  EXPECT_EQ(store->info().generation, generation);
}

TEST_F(Register, ContentThatDoesNotFitRegistersNothing) {
  create({}, 16 << 20, 2 << 20);
  auto store = open();
  const std::uint64_t generation = store->info().generation;
  const NewBlob larger[] = {{spec("a", 100), bytes("x")}, {spec("b", 100), Bytes(101)}};
  EXPECT_KIND(store->register_blobs(larger), too_large);
  const NewBlob too_much[] = {{spec("a", 600000), pattern(600000, 1)},
                              {spec("b", 600000), pattern(600000, 2)}};
  EXPECT_KIND(store->register_blobs(too_much), too_large);
  EXPECT_EQ(store->info().blob_count, 0U);
  EXPECT_EQ(store->info().generation, generation);
  ASSERT_OK(store->register_blobs(std::span(too_much).first(1)));
  EXPECT_EQ(*store->read("a"), pattern(600000, 1));
}

} // namespace
} // namespace vnvram
