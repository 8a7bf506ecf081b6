#include "bench/full_ring.h"

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "bench/bench_image.h"
#include "device/forwarding_device.h"
#include "vnvram/store.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t write_bytes = 3072;
constexpr std::uint64_t written_page_count = 120;

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

RingUse fill_ring(Store& store) {
  std::vector<std::byte> bytes(write_bytes);
  for (std::uint64_t count = 1;; ++count) {
    const StoreInfo info = store.info();
    if (info.ring_used_bytes + 2 * block_size_bytes > info.ring_size_bytes) {
      return {info.ring_size_bytes, info.ring_used_bytes};
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes.at(i) = static_cast<std::byte>(count * 31 + i);
    }
    require(store.write_range("512-KiB", count % written_page_count * block_size_bytes, bytes));
  }
}

} // namespace

RingUse copy_with_full_ring(const std::string& image, const KeyRing& keys,
                            const std::string& copy) {
  RingUse use;
  // A thread of the store may flush, too.
  std::atomic<Store*> store_in_use = nullptr;
  std::atomic<bool> copied = false;
  const auto fill_and_copy = [&] {
    Store* const store = store_in_use;
    if (store == nullptr || copied.exchange(true)) {
      return;
    }
    use = fill_ring(*store);
    std::filesystem::copy_file(image, copy, std::filesystem::copy_options::overwrite_existing);
  };
  std::unique_ptr<BlockDevice> device = require(open_device(image, Access::read_write));
  OpenOptions options;
  options.idle_checkpoint_after = std::chrono::milliseconds(0);
  options.keys = keys;
  const std::unique_ptr<Store> store = require(
      Store::open(std::make_unique<FlushHookDevice>(std::move(device), fill_and_copy), options));
  const std::vector<std::byte> bytes(64, std::byte{1});
  require(store->write_range("8-KiB", 0, bytes));
  store_in_use = store.get();
  require(store->checkpoint());
  require(store->close());
  return use;
}

void copy_durably(const std::string& from, const std::string& to) {
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  require(require(open_device(to, Access::read_write))->flush());
}

} // namespace vnvram::bench
