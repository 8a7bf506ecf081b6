// A device that someone else owns, for an engine that wants one of its own.
#pragma once

#include "vnvram/block_device.h"

namespace vnvram {

/// Passes everything on. The device must outlive it.
class BorrowedDevice : public BlockDevice {
public:
  explicit BorrowedDevice(BlockDevice& device) : device_(device) {}

  [[nodiscard]] std::string name() const override { return device_.name(); }
  [[nodiscard]] DeviceCapabilities capabilities() const override { return device_.capabilities(); }
  Result<std::uint64_t> size_bytes() override { return device_.size_bytes(); }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    return device_.read(offset_bytes, buffer);
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    return device_.write(offset_bytes, data);
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    return device_.write_durable(offset_bytes, data);
  }
  Status flush() override { return device_.flush(); }
  Status discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override {
    return device_.discard(offset_bytes, length_bytes);
  }
  Status resize(std::uint64_t size_bytes) override { return device_.resize(size_bytes); }
  Status lock_for_writing() override { return device_.lock_for_writing(); }
  void unlock() override { device_.unlock(); }

private:
  BlockDevice& device_;
};

} // namespace vnvram
