// Deferred writes through a store: what is refused, what becomes of them when something fails, and
// who may write them.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "support/random.h"
#include "support/temporary_directory.h"
#include "unit/store/deferred_fixture.h"

namespace vnvram {
namespace {

class DeferredFailure : public DeferredFixture {};

// ---- What is refused

TEST_F(DeferredFailure, RefusesWhatDoesNotFitItsBlob) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write_range_deferred("a", 99, bytes("x")));
  EXPECT_KIND(store->write_range_deferred("a", 99, bytes("xx")), too_large);
  EXPECT_KIND(store->write_range_deferred("a", 101, {}), too_large);
  EXPECT_KIND(store->write_range_deferred("a", ~std::uint64_t{0}, bytes("xx")), too_large);
  EXPECT_KIND(store->zero_range_deferred("a", 0, 101), too_large);
  EXPECT_KIND(store->zero_range_deferred("a", 1, ~std::uint64_t{0}), too_large);
  EXPECT_KIND(store->write_range_deferred("none", 0, bytes("x")), not_found);
  EXPECT_KIND(store->zero_range_deferred("none", 0, 1), not_found);
  ASSERT_OK(store->flush());
  EXPECT_EQ(store->blob("a")->size_bytes, 100U);
}

TEST_F(DeferredFailure, AWriteOfNoBytesChangesNothing) {
  create({spec("a", 100)});
  for (const int deferral_us : {0, 10000}) {
    OpenOptions options = inline_options();
    options.deferral = std::chrono::microseconds(deferral_us);
    auto store = open(options);
    const std::uint64_t generation = store->info().generation;
    ASSERT_OK(store->write_range_deferred("a", 50, {}));
    ASSERT_OK(store->zero_range_deferred("a", 50, 0));
    EXPECT_KIND(store->zero_range_deferred("none", 0, 0), not_found);
    ASSERT_OK(store->flush());
    EXPECT_EQ(store->info().generation, generation);
    EXPECT_EQ(store->blob("a")->size_bytes, 0U);
    ASSERT_OK(store->close());
  }
}

TEST_F(DeferredFailure, AReadOnlyStoreRefuses) {
  create({spec("a", 100)});
  auto store = open_read_only();
  EXPECT_KIND(store->write_range_deferred("a", 0, bytes("x")), read_only);
  EXPECT_KIND(store->zero_range_deferred("a", 0, 1), read_only);
  EXPECT_KIND(store->write_range_deferred("none", 0, bytes("x")), read_only); // As a commit does.
  ASSERT_OK(store->flush());
  const Bytes before = disk_->bytes();
  EXPECT_KIND(store->adopt_after_fork(), read_only);
  EXPECT_FALSE(store->info().poisoned.has_value());
  EXPECT_EQ(disk_->bytes(), before);
}

TEST_F(DeferredFailure, SealingWritesWhatWasDeferredAndRefusesMore) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("before")));
  ASSERT_OK(store->seal());
  EXPECT_EQ(*store->read("a"), bytes("before"));
  EXPECT_KIND(store->write_range_deferred("a", 0, bytes("after")), sealed);
  EXPECT_KIND(store->zero_range_deferred("a", 0, 1), sealed);
  ASSERT_OK(store->flush()); // Nothing is left to do.
  ASSERT_OK(store->close());
  EXPECT_EQ(*open_read_only()->read("a"), bytes("before"));
  EXPECT_KIND(try_open(), sealed);
}

TEST_F(DeferredFailure, ARemovedBlobIsGoneWithWhatWaitedForIt) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("a")));
  ASSERT_OK(store->write_range_deferred("b", 0, bytes("b")));
  ASSERT_OK(store->remove_blob("a"));
  EXPECT_KIND(store->write_range_deferred("a", 0, bytes("late")), not_found);
  EXPECT_KIND(store->read("a"), not_found);
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("b"), bytes("b"));
  ASSERT_OK(store->register_blobs(std::vector{spec("a", 50)}));
  EXPECT_EQ(*store->read("a"), Bytes{});
}

// The blob is still there while the record that removes it is on its way.
TEST_F(DeferredFailure, WritesThatCameDuringARemovalHoldUpNobody) {
  create({spec("a", 100), spec("b", 100)});
  bool removing = true;
  auto store = open_counted(); // Behind what the hook knows: it is closed before.
  *hook_ = [&](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    if (call == HookedDevice::Call::write_durable && std::exchange(removing, false)) {
      EXPECT_TRUE(store->write_range_deferred("a", 0, bytes("too late")).ok());
      EXPECT_TRUE(store->write_range_deferred("b", 0, bytes("in time")).ok());
    }
    return Status{};
  };
  ASSERT_OK(store->remove_blob("a"));
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("b"), bytes("in time"));
  ASSERT_OK(store->register_blobs(std::vector{spec("a", 4)}));
  EXPECT_EQ(*store->read("a"), Bytes{});
  ASSERT_OK(store->flush());
}

// ---- What happens when something fails

TEST_F(DeferredFailure, ADamagedPageConcernsNobodyElse) {
  constexpr std::uint64_t size = std::uint64_t{512} << 10U;
  create({spec("a", size), spec("b", 10000)});
  const Bytes content = pattern(size, 7);
  {
    auto store = open();
    ASSERT_OK(store->write("a", content));
    ASSERT_OK(store->write("b", bytes("intact")));
    ASSERT_OK(store->close());
  }
  constexpr std::size_t page = 40;
  const std::span page_content =
      std::span(content).subspan(page * block_size_bytes, block_size_bytes);
  std::byte* home = disk_->bytes().data();
  while (!std::equal(page_content.begin(), page_content.end(), home)) {
    home += block_size_bytes;
    ASSERT_LT(home, disk_->bytes().data() + disk_->bytes().size());
  }
  home[100] ^= std::byte{1};
  auto store = open();
  EXPECT_KIND(store->write_range_deferred("a", (page * block_size_bytes) + 5, bytes("x")), corrupt);
  EXPECT_KIND(store->zero_range_deferred("a", 0, size), corrupt);
  ASSERT_OK(store->write_range_deferred("b", 0, bytes("goes on")));
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("so does this")));
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("b"), bytes("goes on"));
}

TEST_F(DeferredFailure, ADamagedDirectoryPageConcernsNobodyElse) {
  constexpr std::size_t size = std::size_t{1} << 20U;
  std::vector<BlobSpec> specs = {spec("large", size), spec("good", 10)};
  for (int i = 0; i < 8; ++i) { // The victim's entry has a page of its own, but for these.
    specs.push_back(spec("rest" + std::to_string(i), 10));
  }
  specs.push_back(spec("the-victim", 10));
  create(specs, std::size_t{8} << 20U);
  OpenOptions options = inline_options();
  options.cache_size_bytes = cache_size_min_bytes;
  auto store = open(options);
  ASSERT_OK(store->write("large", pattern(size, 3)));
  ASSERT_OK(store->checkpoint());
  ASSERT_OK(store->read("large")); // More than the cache holds: no page of the directory stays.
  const Bytes name = bytes("the-victim");
  auto& image = disk_->bytes();
  int damaged = 0;
  for (auto at = image.begin();
       (at = std::search(at, image.end(), name.begin(), name.end())) != image.end(); ++at) {
    *at ^= std::byte{1};
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  EXPECT_KIND(store->write_range_deferred("the-victim", 0, bytes("x")), corrupt);
  ASSERT_OK(store->write_range_deferred("good", 0, bytes("goes on")));
  ASSERT_OK(store->flush());
  EXPECT_EQ(*store->read("good"), bytes("goes on"));
}

TEST_F(DeferredFailure, WhatCouldNotBeWrittenComesBeforeWhatIsTakenLater) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open_counted();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("111")));
  *hook_ = fail_reading_superblocks;
  EXPECT_KIND(store->flush(), io);
  EXPECT_KIND(store->write("b", bytes("x")), io); // It comes after them.
  ASSERT_OK(store->write_range_deferred("a", 1, bytes("22")));
  EXPECT_EQ(*store->read("a"), bytes("122"));
  *hook_ = nullptr;
  // All that was taken, not only what has failed before.
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("a"), bytes("122"));

  ASSERT_OK(store->write_range_deferred("a", 0, bytes("333")));
  *hook_ = fail_reading_superblocks;
  EXPECT_KIND(store->flush(), io);
  ASSERT_OK(store->write_range_deferred("a", 1, bytes("44")));
  *hook_ = nullptr;
  ASSERT_OK(store->write_range("a", 2, bytes("5")));
  EXPECT_EQ(*store->read("a"), bytes("345"));
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("a"), bytes("345"));
}

TEST_F(DeferredFailure, TheDeadlineTriesAgain) {
  create({spec("a", 100)});
  std::atomic<int> failures = 0;
  *hook_ = [&](HookedDevice::Call call, std::uint64_t offset, std::span<const std::byte> data) {
    const Status failed = fail_reading_superblocks(call, offset, data);
    return failed || failures.fetch_sub(1) <= 0 ? Status{} : failed;
  };
  std::atomic<int> told = 0;
  constexpr std::chrono::milliseconds deferral{1};
  OpenOptions options = on_test_clock(deferral);
  options.failed_in_background = [&](const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    ++told;
  };
  auto store = open_counted(std::move(options));
  for (int series = 1; series <= 2; ++series) {
    const std::uint64_t generation = store->info().generation;
    const std::string content = "in the end " + std::to_string(series);
    failures = 3;
    ASSERT_OK(store->write_range_deferred("a", 0, bytes(content)));
    for (int tries = 0; tries < 3; ++tries) {
      ASSERT_TRUE(clock_.is_awaited(clock_.now() + deferral));
      EXPECT_EQ(failures, 3 - tries);
      clock_.advance(deferral);
    }
    ASSERT_TRUE(clock_.is_awaited(clock_.now() + deferral));
    EXPECT_EQ(store->info().generation, generation);
    clock_.advance(deferral);
    wait_until([&] { return store->info().generation > generation; });
    EXPECT_EQ(after_a_cut("a"), bytes(content));
    EXPECT_EQ(told, series); // Not for each time that it was tried.
  }
}

TEST_F(DeferredFailure, AFailedWritePoisonsAndEveryoneHears) {
  create({spec("a", 100)});
  std::atomic<int> told = 0;
  Store* opened = nullptr;
  OpenOptions options = on_test_clock(std::chrono::milliseconds(1));
  options.failed_in_background = [&](const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io) << error.text();
    EXPECT_TRUE(opened->info().poisoned.has_value());
    ++told;
  };
  auto store = open_counted(std::move(options));
  opened = store.get();
  ASSERT_OK(store->write("a", bytes("durable")));
  *hook_ = fail_durable_writes;
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("waited")));
  clock_.advance(std::chrono::milliseconds(1));
  wait_until([&] { return told > 0; });
  EXPECT_KIND(store->write_range_deferred("a", 0, bytes("x")), poisoned);
  EXPECT_KIND(store->zero_range_deferred("a", 0, 1), poisoned);
  EXPECT_KIND(store->flush(), poisoned);
  EXPECT_KIND(store->write("a", bytes("x")), poisoned);
  EXPECT_FALSE(store->close().ok());
  EXPECT_EQ(told, 1);
  store.reset();
  *hook_ = nullptr;
  EXPECT_EQ(*open()->read("a"), bytes("durable"));
}

// ---- More than one thread, more than one process

TEST_F(DeferredFailure, EachThreadSeesItsOwnWritesAtOnce) {
  constexpr std::uint64_t size = 20000;
  create({spec("a", size), spec("b", size), spec("c", size), spec("d", size)},
         std::uint64_t{2} << 20U, std::uint64_t{128} << 10U);
  OpenOptions options = in_background(std::chrono::microseconds(1));
  options.cache_size_bytes = cache_size_min_bytes;
  auto store = open(options);
  std::map<std::string, Bytes> written;
  for (const char* name : {"a", "b", "c", "d"}) {
    written[name] = Bytes(size);
  }
  {
    std::vector<std::jthread> threads;
    threads.reserve(written.size());
    for (auto& [name, content] : written) {
      threads.emplace_back([&store, &blob = name, &expected = content] {
        test::Random random(static_cast<std::uint64_t>(blob.front()));
        for (int i = 0; i < 300; ++i) {
          const Bytes some = random.bytes(1 + random.below(100));
          const std::uint64_t offset = random.below(size - some.size());
          std::copy(some.begin(), some.end(),
                    expected.begin() + static_cast<std::ptrdiff_t>(offset));
          ASSERT_OK(i % 20 == 0 ? store->write_range(blob, offset, some)
                                : store->write_range_deferred(blob, offset, some));
          ASSERT_OK(i % 50 == 0 ? store->flush() : Status{});
          Bytes all(size);
          ASSERT_OK(store->read_range(blob, 0, all));
          ASSERT_TRUE(all == expected);
        }
      });
    }
  }
  ASSERT_OK(store->close());
  const auto reopened = open();
  for (const auto& [name, content] : written) {
    Bytes all(size);
    ASSERT_OK(reopened->read_range(name, 0, all));
    EXPECT_TRUE(all == content);
  }
}

// As a daemon does: what opens the image starts the process that goes on with it, and ends.
// Returns the process id if all went well, else 0.
pid_t become_owner_after_fork(const std::string& path) {
  auto device = open_device(path, Access::read_write);
  OpenOptions options;
  options.threads_late = true;
  auto opened = device ? Store::open(*std::move(device), options) : device.error();
  if (!opened) {
    return 0;
  }
  if (::fork() != 0) {
    ::_exit(0);
  }
  Store& store = **opened;
  const bool done = store.adopt_after_fork() && store.write("a", bytes("child")) &&
                    store.write_range_deferred("a", 5, bytes("'s")) && store.flush() &&
                    store.info().owner_pid == static_cast<std::uint32_t>(::getpid());
  static_cast<void>(opened->release()); // It dies with the image open.
  return done ? ::getpid() : 0;
}

TEST_F(DeferredFailure, TheImageNamesTheProcessThatAdoptedIt) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("image");
  CreateOptions options;
  options.blobs = {{spec("a", 100), std::nullopt}};
  ASSERT_OK(create_image_file(path, 0, options));
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const pid_t owner = become_owner_after_fork(path);
    const bool told = ::write(writing.get(), &owner, sizeof(owner)) == sizeof(owner);
    ::_exit(told ? 0 : 1);
  }
  writing.reset();
  pid_t owner = 0;
  ASSERT_EQ(::read(reading.get(), &owner, sizeof(owner)), ssize_t{sizeof(owner)});
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  char end = 0;
  ASSERT_EQ(::read(reading.get(), &end, 1), 0); // The owner has ended, too.
  EXPECT_NE(owner, 0);
  EXPECT_NE(owner, child);
  OpenOptions reader;
  reader.access = Access::read_only;
  const auto store = Store::open(*open_device(path, Access::read_only), reader);
  ASSERT_OK(store);
  EXPECT_EQ((*store)->info().owner_pid, static_cast<std::uint32_t>(owner));
  EXPECT_FALSE((*store)->info().clean);
  EXPECT_EQ(*(*store)->read("a"), bytes("child's"));
}

} // namespace
} // namespace vnvram
