// The store's device, with what it is used for counted, and noted where it is written.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "device/forwarding_device.h"
#include "store/written_blocks.h"
#include "vnvram/store.h"
#include "vnvram/store_counters.h"

namespace vnvram {

/// Threads: as the device's. A call that fails is counted, too.
class CountedDevice final : public ForwardingDevice {
public:
  explicit CountedDevice(std::unique_ptr<BlockDevice> device)
      : ForwardingDevice(*device), device_(std::move(device)) {}
  /// An open store's.
  static CountedDevice& of(Store& store) { return dynamic_cast<CountedDevice&>(store.device()); }

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    count_read(buffer.size());
    return device_->read(offset_bytes, buffer);
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    count_write(data.size());
    return noted(offset_bytes, data.size(), device_->write(offset_bytes, data));
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    count_write(data.size());
    add(durable_writes_, 1);
    return noted(offset_bytes, data.size(), device_->write_durable(offset_bytes, data));
  }
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override {
    count_write(data.size());
    add(durable_writes_, 1);
    count_read(buffer.size());
    return noted(
        write_offset_bytes, data.size(),
        device_->write_durable_and_read(write_offset_bytes, data, read_offset_bytes, buffer));
  }
  Status flush() override {
    add(flushes_, 1);
    return device_->flush();
  }

  void write_counters(StoreCounters& counters) const {
    counters.device_reads = reads_;
    counters.device_read_bytes = read_bytes_;
    counters.device_writes = writes_;
    counters.device_written_bytes = written_bytes_;
    counters.device_durable_writes = durable_writes_;
    counters.device_flushes = flushes_;
  }
  /// Where it was written.
  [[nodiscard]] WrittenBlocks& written() { return written_blocks_; }
  /// Afterwards only the destructor may be called.
  [[nodiscard]] std::unique_ptr<BlockDevice> give_up() { return std::move(device_); }

private:
  using Counter = std::atomic<std::uint64_t>;

  static void add(Counter& counter, std::uint64_t count) {
    counter.fetch_add(count, std::memory_order_relaxed);
  }
  void count_read(std::uint64_t size_bytes) {
    add(reads_, 1);
    add(read_bytes_, size_bytes);
  }
  void count_write(std::uint64_t size_bytes) {
    add(writes_, 1);
    add(written_bytes_, size_bytes);
  }

  Status noted(std::uint64_t offset_bytes, std::uint64_t size_bytes, Status done) {
    written_blocks_.note(offset_bytes, size_bytes);
    return done;
  }

  std::unique_ptr<BlockDevice> device_;
  WrittenBlocks written_blocks_;
  Counter reads_ = 0;
  Counter read_bytes_ = 0;
  Counter writes_ = 0;
  Counter written_bytes_ = 0;
  Counter durable_writes_ = 0;
  Counter flushes_ = 0;
};

} // namespace vnvram
