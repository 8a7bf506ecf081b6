// The README's first table, "What people ask first", is true: each figure in it is measured here,
// or is the code's.
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/core.h>

#include "format/geometry.h"
#include "support/counting_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = kib * kib;

std::string table_in_readme() {
  std::ifstream file(VNVRAM_README);
  EXPECT_TRUE(file.is_open());
  std::stringstream text;
  text << file.rdbuf();
  const std::string readme = text.str();
  const std::size_t start = readme.find("| question |");
  EXPECT_NE(start, std::string::npos);
  const std::size_t end = readme.find("\n\n", start);
  return readme.substr(start, end - start);
}

std::string cost_text(const test::DeviceCost& cost) {
  // A durable write is a write and a flush.
  return fmt::format("{} write{}, {} bytes, {} flush{}", cost.writes + cost.durable_writes,
                     cost.writes + cost.durable_writes == 1 ? "" : "s", cost.bytes,
                     cost.flushes + cost.durable_writes,
                     cost.flushes + cost.durable_writes == 1 ? "" : "es");
}

class ReadmeFigures : public StoreFixture {
protected:
  std::unique_ptr<Store> open_counted(const OpenOptions& options = inline_options()) {
    auto store = Store::open(
        std::make_unique<test::CountingDevice>(std::make_unique<MemoryDevice>(disk_), counter_),
        options);
    EXPECT_TRUE(store.ok());
    return store.ok() ? std::move(*store) : nullptr;
  }
  template <typename Call> std::string cost_of(Call call) {
    const test::DeviceCost before = counter_->cost();
    const Status done = call();
    EXPECT_TRUE(done.ok()) << done.error().text();
    return cost_text(counter_->cost() - before);
  }
  void expect_said(const std::string& words) const {
    EXPECT_NE(table_.find(words), std::string::npos) << "the table does not say: " << words;
  }
  static std::vector<BlobSpec> three_blobs() {
    return {spec("permanent", 256 * kib), spec("savestate", 64 * kib), spec("volatile", 128 * kib)};
  }

  std::shared_ptr<test::DeviceCounter> counter_ = std::make_shared<test::DeviceCounter>();
  std::string table_ = table_in_readme();
};

TEST_F(ReadmeFigures, Limits) {
  expect_said(fmt::format("{} in an image", blob_count_max));
  expect_said(fmt::format("at most {} MiB", blob_size_max_bytes / mib));
  expect_said(fmt::format("an image has {} KiB to {} GiB", image_size_min_bytes / kib,
                          image_size_max_bytes / (kib * mib)));
}

TEST_F(ReadmeFigures, RegisteringAndRemoving) {
  create({});
  const auto store = open_counted();
  const std::vector<BlobSpec> blobs = three_blobs();
  const std::string registering = cost_of([&] { return store->register_blobs(blobs); });
  EXPECT_EQ(cost_of([&] { return store->register_blobs(std::span(blobs).first(1)); }),
            "0 writes, 0 bytes, 0 flushes");
  const std::string removing = cost_of([&] { return store->remove_blob("volatile"); });
  expect_said("registering three blobs: " + registering);
  expect_said("those that are there already: none");
  expect_said("removing one: " + removing);
}

TEST_F(ReadmeFigures, ACommitOfAFewBytesCostsTheSameWhateverTheBlob) {
  create({spec("small", 8 * kib), spec("large", 16 * mib)}, 128 * mib, 40 * mib);
  const auto store = open_counted();
  ASSERT_OK(store->write("small", pattern(8 * kib, 1)));
  ASSERT_OK(store->write("large", pattern(16 * mib, 1)));
  ASSERT_OK(store->checkpoint());
  const Bytes change = pattern(3 * kib, 2);
  const std::string cost = cost_of([&] { return store->write_range("small", 0, change); });
  EXPECT_EQ(cost_of([&] { return store->write_range("large", 9 * mib, change); }), cost);
  expect_said("a change of up to 3 KiB: " + cost);
}

// Encrypted, too: what seals a record has its place in the block that is written anyway.
TEST_F(ReadmeFigures, AnEncryptedCommitOfAFewBytesCostsTheSame) {
  disk_ = std::make_shared<MemoryDisk>(4 * mib);
  CreateOptions encrypted;
  encrypted.data_key = pattern(32, 99);
  encrypted.blobs = {{spec("small", 8 * kib), std::nullopt}};
  MemoryDevice fresh(disk_);
  ASSERT_OK(create_image(fresh, encrypted));
  fresh.unlock();
  OpenOptions options = inline_options();
  options.keys = KeyRing::of_data_key(encrypted.data_key);
  const auto store = open_counted(options);
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(store->info().encrypted);
  ASSERT_OK(store->write("small", pattern(8 * kib, 1)));
  ASSERT_OK(store->checkpoint());
  for (const std::uint64_t size_bytes : {std::uint64_t{1}, kib, 3 * kib}) {
    const Bytes change = pattern(size_bytes, 2);
    EXPECT_EQ(cost_of([&] { return store->write_range("small", 0, change); }),
              "1 write, 4096 bytes, 1 flush")
        << size_bytes;
  }
}

TEST_F(ReadmeFigures, ACommitOfAWholeBlob) {
  create({spec("a", 128 * kib)});
  const auto store = open_counted();
  ASSERT_OK(store->write("a", pattern(128 * kib, 1)));
  ASSERT_OK(store->checkpoint());
  const std::string cost = cost_of([&] { return store->write("a", pattern(128 * kib, 2)); });
  expect_said("128 KiB, all of it new: " + cost);
}

// A blob's largest size is its own from the moment it is registered.
TEST_F(ReadmeFigures, FullMeansThatNothingMoreCanBeRegistered) {
  create({});
  const auto store = open_counted();
  std::size_t count = 0;
  Status registered;
  test::DeviceCost before;
  while (registered) {
    before = counter_->cost();
    const std::vector<BlobSpec> one = {spec("blob" + std::to_string(count), 256 * kib)};
    registered = store->register_blobs(one);
    count += registered ? 1U : 0U;
  }
  ASSERT_GT(count, 2U);
  EXPECT_EQ(registered.error().kind(), ErrorKind::no_space);
  EXPECT_EQ(cost_text(counter_->cost() - before), "0 writes, 0 bytes, 0 flushes");
  for (unsigned round = 0; round < 3; ++round) {
    for (std::size_t blob = 0; blob < count; ++blob) {
      ASSERT_OK(store->write("blob" + std::to_string(blob), pattern(256 * kib, round)));
    }
  }
  expect_said("refused (exit code 20) before anything is written");
}

} // namespace
} // namespace vnvram
