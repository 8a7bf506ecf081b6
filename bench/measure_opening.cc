#include <atomic>
#include <filesystem>
#include <functional>

#include "bench/bench_image.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"
#include "device/forwarding_device.h"

namespace vnvram::bench {
namespace {

/// Lets something happen at the one moment when a ring gets full: while a checkpoint is under way.
class FlushHookDevice final : public ForwardingDevice {
public:
  FlushHookDevice(std::unique_ptr<BlockDevice> device, std::function<void()> before_flush)
      : ForwardingDevice(*device), device_(std::move(device)),
        before_flush_(std::move(before_flush)) {}

  Status flush() override {
    before_flush_();
    return device_->flush();
  }

private:
  std::unique_ptr<BlockDevice> device_;
  std::function<void()> before_flush_;
};

/// Commits until no further record fits, while a checkpoint waits to be flushed, and copies the
/// image as it is then: what a power cut at the worst moment leaves.
void copy_with_full_ring(const BenchImage& image, const std::string& copy, OpeningResult& result) {
  // A thread of the store may flush, too.
  std::atomic<Store*> store_in_use = nullptr;
  std::atomic<bool> copied = false;
  const auto fill_and_copy = [&] {
    Store* const store = store_in_use;
    if (store == nullptr || copied.exchange(true)) {
      return;
    }
    std::vector<std::byte> bytes(3072);
    for (std::uint64_t count = 1;; ++count) {
      const StoreInfo info = store->info();
      result.ring_size_bytes = info.ring_size_bytes;
      result.ring_used_bytes = info.ring_used_bytes;
      if (info.ring_used_bytes + 2 * block_size_bytes > info.ring_size_bytes) {
        break;
      }
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes.at(i) = static_cast<std::byte>(count * 31 + i);
      }
      const std::uint64_t page = count % 120;
      require(store->write_range("512-KiB", page * block_size_bytes, bytes));
    }
    std::filesystem::copy_file(image.path(), copy,
                               std::filesystem::copy_options::overwrite_existing);
  };
  std::unique_ptr<BlockDevice> device = require(open_device(image.path(), Access::read_write));
  OpenOptions options;
  options.idle_checkpoint_after = std::chrono::milliseconds(0);
  const std::unique_ptr<Store> store = require(
      Store::open(std::make_unique<FlushHookDevice>(std::move(device), fill_and_copy), options));
  const std::vector<std::byte> bytes(64, std::byte{1});
  require(store->write_range("8-KiB", 0, bytes));
  store_in_use = store.get();
  require(store->checkpoint());
  require(store->close());
}

/// A power cut leaves nothing in the page cache that an opener would have to wait for.
void make_durable(const std::string& path) {
  require(require(open_device(path, Access::read_write))->flush());
}

void time_one(const std::string& path, Times& opening, Times* closing) {
  std::unique_ptr<Store> store;
  opening.add(microseconds(
      [&] { store = require(Store::open(require(open_device(path, Access::read_write)))); }));
  const double taken = microseconds([&] { require(store->close()); });
  if (closing != nullptr) {
    closing->add(taken);
  }
}

} // namespace

OpeningResult time_opening(const std::string& directory, const Amount& amount) {
  OpeningResult result;
  const BenchImage image(directory, std::uint64_t{4} << 20U, range_blobs());
  const std::string full = directory + "/full";
  const std::string copy = directory + "/copy";
  copy_with_full_ring(image, full, result);
  for (unsigned i = 0; i < amount.openings; ++i) {
    std::filesystem::copy_file(full, copy, std::filesystem::copy_options::overwrite_existing);
    make_durable(copy);
    time_one(copy, result.full_ring, nullptr);
    time_one(image.path(), result.clean, &result.close);
  }
  const std::string qcow2 = directory + "/image.qcow2";
  require(create_image_file(qcow2, std::uint64_t{4} << 20U, {}));
  for (unsigned i = 0; i < amount.openings; ++i) {
    time_one(qcow2, result.qcow2, nullptr);
  }
  std::filesystem::remove(qcow2);
  std::filesystem::remove(full);
  std::filesystem::remove(copy);
  return result;
}

} // namespace vnvram::bench
