// Deferred writes under threads, for the thread sanitizer: writers, readers, flushes, commits,
// registration and power cuts at once; and writers that are faster than their device.
#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

constexpr unsigned writer_count = 3;
constexpr std::uint64_t numbers_per_writer = 300;
constexpr std::size_t stress_size_bytes = 6000;
constexpr std::size_t number_offset_bytes = 4090; // Over the end of a page.

using Number = std::array<std::uint64_t, 2>; // Twice: half a write shows.
using Numbers = std::array<std::atomic<std::uint64_t>, writer_count>;

std::string left_of(unsigned writer) {
  return "left" + std::to_string(writer);
}
std::string right_of(unsigned writer) {
  return "right" + std::to_string(writer);
}

std::uint64_t number_in(Store& store, const std::string& blob) {
  Number number{};
  const Status read =
      store.read_range(blob, number_offset_bytes, std::as_writable_bytes(std::span(number)));
  EXPECT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(number[0], number[1]);
  return number[0];
}

/// Each writer puts a running number into its left blob and then into its right one.
class DeferredStress : public StoreFixture {
protected:
  void write_all(Store& store, unsigned writer) {
    for (std::uint64_t i = 1; i <= numbers_per_writer; ++i) {
      const Number number = {i, i};
      const auto bytes = std::as_bytes(std::span(number));
      if (i % 20 == 0) { // The whole blob.
        Bytes content(stress_size_bytes, static_cast<std::byte>(i));
        std::copy(bytes.begin(), bytes.end(), content.begin() + number_offset_bytes);
        ASSERT_OK(store.write_range_deferred(left_of(writer), 0, content));
      } else {
        ASSERT_OK(store.write_range_deferred(left_of(writer), number_offset_bytes, bytes));
      }
      ASSERT_EQ(number_in(store, left_of(writer)), i);
      ASSERT_OK(store.write_range_deferred(right_of(writer), number_offset_bytes, bytes));
      written_.at(writer) = i;
    }
  }

  void read_until_done(Store& store) {
    std::array<std::uint64_t, writer_count> seen{};
    while (!done_) {
      for (unsigned writer = 0; writer < writer_count; ++writer) {
        const std::uint64_t written = written_.at(writer);
        const std::uint64_t right = number_in(store, right_of(writer));
        const std::uint64_t left = number_in(store, left_of(writer));
        ASSERT_GE(right, std::max(written, seen.at(writer)));
        ASSERT_GE(left, right);
        seen.at(writer) = right;
      }
    }
  }

  void flush_until_done(Store& store) {
    while (!done_) {
      const auto before = snapshot(written_);
      ASSERT_OK(store.flush());
      for (unsigned writer = 0; writer < writer_count; ++writer) {
        durable_.at(writer) = before.at(writer);
      }
    }
  }

  /// What is committed tells what was taken before.
  void commit_until_done(Store& store) {
    while (!done_) {
      const auto before = snapshot(written_);
      ASSERT_OK(store.write("seen", std::as_bytes(std::span(before))));
      const std::vector<BlobSpec> specs = {spec("guest", 3000)};
      ASSERT_OK(store.register_blobs(specs));
      ASSERT_OK(store.write_range_deferred("guest", 10, bytes("soon gone")));
      ASSERT_OK(store.remove_blob("guest"));
    }
  }

  /// The disk of a moment, as it is after a power cut: it holds a prefix of what every writer
  /// wrote.
  void cut_until_done() {
    do { // One at least, however late this thread begins.
      const auto durable = snapshot(durable_);
      const auto store =
          Store::open(std::make_unique<MemoryDevice>(copy_of_disk()), inline_options());
      ASSERT_OK(store);
      std::array<std::uint64_t, writer_count> seen{};
      ASSERT_OK((*store)->read_range("seen", 0, std::as_writable_bytes(std::span(seen))));
      for (unsigned writer = 0; writer < writer_count; ++writer) {
        const std::uint64_t left = number_in(**store, left_of(writer));
        const std::uint64_t right = number_in(**store, right_of(writer));
        ASSERT_TRUE(left == right || left == right + 1) << left << " and " << right;
        ASSERT_GE(right, durable.at(writer));
        ASSERT_GE(right, seen.at(writer));
      }
      ++cuts_;
    } while (!done_);
  }

  static std::array<std::uint64_t, writer_count> snapshot(const Numbers& numbers) {
    std::array<std::uint64_t, writer_count> values{};
    std::copy(numbers.begin(), numbers.end(), values.begin());
    return values;
  }

  static constexpr std::size_t disk_size_bytes = std::size_t{1} << 20U;
  Numbers written_{};
  Numbers durable_{};
  std::atomic<bool> done_ = false;
  std::atomic<unsigned> cuts_ = 0;
};

TEST_F(DeferredStress, Invariant8HoldsUnderThreads) {
  std::vector<BlobSpec> blobs = {spec("seen", writer_count * sizeof(std::uint64_t))};
  for (unsigned writer = 0; writer < writer_count; ++writer) {
    blobs.push_back(spec(left_of(writer), stress_size_bytes));
    blobs.push_back(spec(right_of(writer), stress_size_bytes));
  }
  create(blobs, disk_size_bytes, std::uint64_t{128} << 10U);
  OpenOptions options;
  options.cache_size_bytes = cache_size_min_bytes;
  options.deferral = std::chrono::milliseconds(1);
  options.idle_checkpoint_after = std::chrono::milliseconds(1);
  {
    const auto store = open(options);
    std::vector<std::jthread> others;
    others.emplace_back([&] { read_until_done(*store); });
    others.emplace_back([&] { flush_until_done(*store); });
    others.emplace_back([&] { commit_until_done(*store); });
    others.emplace_back([&] { cut_until_done(); });
    {
      std::vector<std::jthread> writers;
      for (unsigned writer = 0; writer < writer_count; ++writer) {
        writers.emplace_back([&, writer] { write_all(*store, writer); });
      }
    }
    done_ = true;
    others.clear(); // Waits for them.
    for (unsigned writer = 0; writer < writer_count; ++writer) {
      const std::uint64_t last = numbers_per_writer + 1;
      const Number number = {last, last};
      ASSERT_OK(store->write_range_deferred(left_of(writer), number_offset_bytes,
                                            std::as_bytes(std::span(number))));
    }
    ASSERT_OK(store->close());
  }
  EXPECT_GT(cuts_, 0U);
  const auto reader = open_read_only();
  for (unsigned writer = 0; writer < writer_count; ++writer) {
    EXPECT_EQ(number_in(*reader, left_of(writer)), numbers_per_writer + 1);
    EXPECT_EQ(number_in(*reader, right_of(writer)), numbers_per_writer);
  }
}

/// Holds up each record until it is opened.
class Gate {
public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void count_one() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  bool wait_for_count(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return count_ >= count; });
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
  bool open_ = false;
};

// An eighth of the cache may wait to be taken, and as much until the device has it; readers of what
// waits do not wait.
TEST_F(DeferredStress, WritersThatAreFasterThanTheDeviceWait) {
  constexpr std::size_t pages_per_writer = 60;
  constexpr std::size_t waiting_pages_max = 2 * (cache_size_min_bytes / 8 / block_size_bytes);
  create({spec("left0", pages_per_writer * block_size_bytes),
          spec("left1", pages_per_writer * block_size_bytes)});
  auto hook = std::make_shared<HookedDevice::Hook>();
  OpenOptions options;
  options.cache_size_bytes = cache_size_min_bytes;
  options.deferral = std::chrono::milliseconds(1);
  auto opened = Store::open(std::make_unique<HookedDevice>(disk_, hook), options);
  ASSERT_OK(opened);
  Store& store = **opened;
  Gate gate;
  *hook = [&](Call call, std::uint64_t, std::span<const std::byte>) -> Status {
    if (call == Call::write_durable) {
      gate.pass();
    }
    return {};
  };
  {
    std::vector<std::jthread> writers;
    for (unsigned writer : {0U, 1U}) {
      writers.emplace_back([&, writer] {
        for (std::size_t page = 0; page < pages_per_writer; ++page) {
          const Bytes content(block_size_bytes, static_cast<std::byte>(page + 1));
          EXPECT_TRUE(
              store.write_range_deferred(left_of(writer), page * block_size_bytes, content).ok());
          gate.count_one();
        }
      });
    }
    // Both writers may find the first batch full and wait for it.
    EXPECT_TRUE(gate.wait_for_count(waiting_pages_max / 2));
    for (int i = 0; i < 2000; ++i) { // Time enough for those who do not wait.
      Bytes page(block_size_bytes);
      EXPECT_TRUE(store.read_range(left_of(0), 0, page).ok());
      EXPECT_EQ(page, Bytes(block_size_bytes, page.front()));
    }
    EXPECT_LE(gate.count(), waiting_pages_max);
    gate.open();
  }
  EXPECT_EQ(gate.count(), 2 * pages_per_writer);
  ASSERT_OK(store.close());
  opened->reset();
  const auto reader = open_read_only();
  for (unsigned writer : {0U, 1U}) {
    for (std::size_t page = 0; page < pages_per_writer; ++page) {
      Bytes content(block_size_bytes);
      ASSERT_OK(reader->read_range(left_of(writer), page * block_size_bytes, content));
      EXPECT_EQ(content, Bytes(block_size_bytes, static_cast<std::byte>(page + 1)));
    }
  }
}

} // namespace
} // namespace vnvram
