// Passes every call on to another device and counts what it costs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "device/forwarding_device.h"

namespace vnvram::test {

struct DeviceCost {
  std::uint64_t writes = 0;         ///< Not counting the durable ones.
  std::uint64_t durable_writes = 0; ///< Each is a write and a flush of itself.
  std::uint64_t flushes = 0;
  std::uint64_t bytes = 0; ///< Written, by either.
  std::uint64_t reads = 0;

  friend DeviceCost operator-(const DeviceCost& left, const DeviceCost& right) {
    return {.writes = left.writes - right.writes,
            .durable_writes = left.durable_writes - right.durable_writes,
            .flushes = left.flushes - right.flushes,
            .bytes = left.bytes - right.bytes,
            .reads = left.reads - right.reads};
  }
  bool operator==(const DeviceCost&) const = default;
};

/// The counts, kept outside of the device because a store takes the device over.
class DeviceCounter {
public:
  [[nodiscard]] DeviceCost cost() const {
    return {.writes = writes_,
            .durable_writes = durable_writes_,
            .flushes = flushes_,
            .bytes = bytes_,
            .reads = reads_};
  }

private:
  friend class CountingDevice;
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> durable_writes_{0};
  std::atomic<std::uint64_t> flushes_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> reads_{0};
};

class CountingDevice final : public ForwardingDevice {
public:
  CountingDevice(std::unique_ptr<BlockDevice> device, std::shared_ptr<DeviceCounter> counter)
      : ForwardingDevice(*device), device_(std::move(device)), counter_(std::move(counter)) {}

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    ++counter_->reads_;
    return device_->read(offset_bytes, buffer);
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    ++counter_->writes_;
    counter_->bytes_ += data.size();
    return device_->write(offset_bytes, data);
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    ++counter_->durable_writes_;
    counter_->bytes_ += data.size();
    return device_->write_durable(offset_bytes, data);
  }
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override {
    ++counter_->durable_writes_;
    counter_->bytes_ += data.size();
    ++counter_->reads_;
    return device_->write_durable_and_read(write_offset_bytes, data, read_offset_bytes, buffer);
  }
  Status flush() override {
    ++counter_->flushes_;
    return device_->flush();
  }

private:
  std::unique_ptr<BlockDevice> device_;
  std::shared_ptr<DeviceCounter> counter_;
};

} // namespace vnvram::test
