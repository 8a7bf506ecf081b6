#include <atomic>
#include <thread>

#include <fmt/core.h>

#include "bench/bench_image.h"
#include "bench/floor_file.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t image_size_bytes = std::uint64_t{16} << 20U;
constexpr unsigned thread_count = 16;

std::vector<BenchBlob> all_blobs() {
  std::vector<BenchBlob> blobs = range_blobs();
  blobs.insert(blobs.end(), whole_blobs().begin(), whole_blobs().end());
  return blobs;
}

/// `seconds` of commits from so many threads; returns how many there were in a second.
double commits_per_second(Store& store, unsigned threads, double seconds) {
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> commits = 0;
  const double taken = microseconds([&] {
    std::vector<std::jthread> committers;
    for (unsigned number = 0; number < threads; ++number) {
      committers.emplace_back([&, number] {
        std::vector<std::byte> bytes(64);
        std::uint64_t count = 0;
        while (!stop) {
          ++count;
          bytes.at(count % bytes.size()) ^= std::byte{1};
          require(store.write_range("128-KiB", std::uint64_t{number} * block_size_bytes, bytes));
          ++commits;
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    stop = true;
  });
  return static_cast<double>(commits) * 1e6 / taken;
}

} // namespace

std::vector<CommitCost> count_commits(const std::string& directory, const Amount& amount,
                                      CheckpointCost& checkpoints) {
  const BenchImage image(directory, image_size_bytes, all_blobs());
  const auto counter = std::make_shared<test::DeviceCounter>();
  // Checkpoints run inside the commits that need one, so that they can be told apart.
  const std::unique_ptr<Store> store = image.open(false, counter);
  std::vector<CommitCost> costs;
  for (CommitKind& kind : commit_kinds()) {
    CommitCost cost{.name = kind.name, .commits = 0, .worst = {}};
    for (std::uint64_t i = 0; i < amount.counted_commits; ++i) {
      const test::DeviceCost before = counter->cost();
      kind.commit(*store);
      const test::DeviceCost spent = counter->cost() - before;
      ++checkpoints.commits;
      if (spent.flushes != 0) {
        ++checkpoints.checkpoints;
        checkpoints.all.writes += spent.writes;
        checkpoints.all.flushes += spent.flushes;
        checkpoints.all.durable_writes += spent.durable_writes - 1; // One is the commit's own,
        checkpoints.all.bytes += spent.bytes - block_size_bytes;    // and so is one block.
      } else {
        ++cost.commits;
        keep_worst(cost.worst, spent);
      }
    }
    costs.push_back(cost);
  }
  require(store->close());
  return costs;
}

CommitCost count_commits_on(std::unique_ptr<BlockDevice> device, const Amount& amount) {
  const auto counter = std::make_shared<test::DeviceCounter>();
  const auto store = require(Store::open(
      std::make_unique<test::CountingDevice>(std::move(device), counter), {.background = false}));
  CommitKind kind = commit_kinds().at(1);
  CommitCost cost{.name = kind.name, .commits = 0, .worst = {}};
  for (std::uint64_t i = 0; i < amount.counted_commits; ++i) {
    const test::DeviceCost before = counter->cost();
    kind.commit(*store);
    const test::DeviceCost spent = counter->cost() - before;
    if (spent.flushes == 0) { // Else a checkpoint was in it.
      ++cost.commits;
      keep_worst(cost.worst, spent);
    }
  }
  require(store->close());
  return cost;
}

LatencyResult time_commits(const std::string& directory, const Amount& amount) {
  const BenchImage image(directory, image_size_bytes, all_blobs());
  const std::unique_ptr<Store> store = image.open(true);
  FloorFile floor(directory, store->info().ring_size_bytes);
  std::vector<CommitKind> kinds = commit_kinds();
  LatencyResult result;
  for (const CommitKind& kind : kinds) {
    result.commits.push_back({.name = kind.name, .times = {}});
  }
  for (std::uint64_t i = 0; i < amount.timed_commits; ++i) {
    result.floor_buffered.add(microseconds([&] { floor.write_buffered(); }));
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      result.floor_direct.add(microseconds([&] { floor.write_direct(); }));
      result.commits.at(k).times.add(microseconds([&] { kinds.at(k).commit(*store); }));
    }
  }
  require(store->close());
  return result;
}

ThreadResult time_threads(const std::string& directory, const Amount& amount) {
  const BenchImage image(directory, image_size_bytes, all_blobs());
  const std::unique_ptr<Store> store = image.open(true);
  Times one;
  Times many;
  for (unsigned round = 0; round < amount.thread_rounds; ++round) {
    one.add(commits_per_second(*store, 1, amount.thread_seconds));
    many.add(commits_per_second(*store, thread_count, amount.thread_seconds));
  }
  require(store->close());
  return {.threads = thread_count, .one_per_second = one.p50(), .many_per_second = many.p50()};
}

} // namespace vnvram::bench
