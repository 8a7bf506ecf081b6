// Deferred writes: what readers see of them, and what becomes of them when something else happens
// to the store. That an image always holds a prefix of them is in the crash tests.
#include <atomic>
#include <functional>
#include <thread>

#include "unit/store/hooked_store_fixture.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

class Deferred : public HookedStoreFixture {
protected:
  /// The next look at the superblocks, which every commit begins with, fails; nothing is written,
  /// and nothing is poisoned.
  void fail_next_read() {
    *hook_ = [failed = false](Call call, std::uint64_t, std::span<const std::byte>) mutable {
      if (call != Call::read || failed) {
        return Status();
      }
      failed = true;
      return Status(Error(ErrorKind::io, "a cable was loose"));
    };
  }
  /// Called inside each write of a record.
  void inside_each_record(std::function<void()> call_back) {
    *hook_ = [call_back = std::move(call_back)](Call call, std::uint64_t,
                                                std::span<const std::byte>) -> Status {
      if (call == Call::write_durable) {
        call_back();
      }
      return {};
    };
  }
  /// What a blob holds on the disk of this moment, for whoever opens it after a power cut.
  Bytes on_disk(const std::string& blob) {
    const auto copy = copy_of_disk();
    OpenOptions options = inline_options();
    options.access = Access::read_only;
    const auto store =
        Store::open(std::make_unique<MemoryDevice>(copy, Access::read_only), options);
    EXPECT_TRUE(store.ok());
    return store ? *(*store)->read(blob) : Bytes();
  }
};

TEST_F(Deferred, ReadersSeeThemAtOnceAndTheDeviceDoesNot) {
  create({spec("a", 9000), spec("b", 100)});
  const auto store = open();
  ASSERT_OK(store->write("a", bytes("0123456789")));
  ASSERT_OK(store->write_range_deferred("a", 4090, bytes("crossing")));
  ASSERT_OK(store->write_range_deferred("a", 2, bytes("XY")));
  ASSERT_OK(store->zero_range_deferred("a", 3, 2));
  Bytes expected = bytes("01X");
  expected.resize(4098);
  const Bytes head = bytes("56789");
  const Bytes tail = bytes("crossing");
  std::copy(head.begin(), head.end(), expected.begin() + 5);
  std::copy(tail.begin(), tail.end(), expected.begin() + 4090);
  EXPECT_EQ(*store->read("a"), expected);
  Bytes part(10);
  ASSERT_OK(store->read_range("a", 4088, part));
  EXPECT_EQ(part, Bytes(expected.begin() + 4088, expected.end()));
  EXPECT_EQ(store->blob("a")->size_bytes, 4098U);
  EXPECT_EQ(store->blobs().at(0).size_bytes, 4098U);
  EXPECT_EQ(on_disk("a"), bytes("0123456789"));
  ASSERT_OK(store->flush());
  EXPECT_EQ(on_disk("a"), expected);
}

TEST_F(Deferred, AWriteOfAWholeBlobIsOneRecordHoweverLargeItIs) {
  create({spec("a", 16), spec("flash", 300000)});
  const auto store = open_hooked();
  std::vector<std::pair<Bytes, Bytes>> states;
  inside_each_record([&] { states.emplace_back(on_disk("a"), on_disk("flash")); });
  const Bytes content = pattern(300000, 7);
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("before")));
  ASSERT_OK(store->write_range_deferred("flash", 0, content));
  EXPECT_EQ(*store->read("flash"), content);
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("behind")));
  ASSERT_OK(store->flush());
  *hook_ = {};
  states.emplace_back(on_disk("a"), on_disk("flash"));
  for (const auto& [a, flash] : states) {
    EXPECT_TRUE(flash.empty() || flash == content);
    EXPECT_TRUE(flash.empty() ? a != bytes("behind") : !a.empty());
  }
  EXPECT_EQ(states.back().first, bytes("behind"));
}

TEST_F(Deferred, AFlushAfterAFailedOneLeavesNothingWaiting) {
  create({spec("a", 100), spec("b", 100)});
  const auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_next_read();
  EXPECT_KIND(store->flush(), io);
  ASSERT_EQ(store->info().poisoned, std::nullopt);
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("FI")));
  ASSERT_OK(store->write_range_deferred("b", 0, bytes("second")));
  EXPECT_EQ(*store->read("a"), bytes("FIrst"));
  ASSERT_OK(store->flush());
  EXPECT_EQ(on_disk("a"), bytes("FIrst"));
  EXPECT_EQ(on_disk("b"), bytes("second"));
}

TEST_F(Deferred, ACommitAfterAFailedFlushComesBehindAllThatWasTakenBeforeIt) {
  create({spec("a", 100), spec("b", 100), spec("c", 100)});
  const auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_next_read();
  EXPECT_KIND(store->flush(), io);
  ASSERT_OK(store->write_range_deferred("b", 0, bytes("second")));
  int records = 0;
  inside_each_record([&] {
    ++records;
    EXPECT_TRUE(on_disk("b").empty() || !on_disk("a").empty());
    EXPECT_TRUE(on_disk("c").empty());
  });
  ASSERT_OK(store->write("c", bytes("third")));
  *hook_ = {};
  EXPECT_GE(records, 1);
  EXPECT_EQ(on_disk("a"), bytes("first"));
  EXPECT_EQ(on_disk("b"), bytes("second"));
  EXPECT_EQ(on_disk("c"), bytes("third"));
}

// The blob is still there when the write is taken, and is not any more when it could be committed.
TEST_F(Deferred, ThoseOfABlobThatIsBeingRemovedGoWithIt) {
  create({spec("a", 9000), spec("b", 100)});
  const auto store = open_hooked();
  ASSERT_OK(store->write("a", Bytes(5000, std::byte{1})));
  inside_each_record([&] {
    ASSERT_OK(store->write_range_deferred("a", 4000, bytes("too late")));
    ASSERT_OK(store->write_range_deferred("b", 0, bytes("in time")));
  });
  ASSERT_OK(store->remove_blob("a"));
  *hook_ = {};
  EXPECT_EQ(*store->read("b"), bytes("in time"));
  ASSERT_OK(store->register_blobs(std::vector{spec("a", 50)}));
  EXPECT_TRUE(store->read("a")->empty());
  ASSERT_OK(store->flush());
  EXPECT_EQ(on_disk("b"), bytes("in time"));
  ASSERT_OK(store->close());
}

TEST_F(Deferred, AnEndThatCannotCommitThemSaysSoAndIsNotClean) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("last")));
  fail_next_read();
  EXPECT_KIND(store->close(), io);
  store.reset(); // And its lock is free.
  EXPECT_TRUE(device().lock_for_writing().ok());
  const auto reader = open_read_only();
  ASSERT_NE(reader, nullptr);
  EXPECT_FALSE(reader->info().clean);
}

} // namespace
} // namespace vnvram
