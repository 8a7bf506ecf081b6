// A BlockDevice on RAM: for images that live as long as the program, and for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "vnvram/block_device.h"
#include "vnvram/open_device.h"

namespace vnvram {

class MemoryDevice;

/// The bytes, apart from the devices that open them, as a file is apart from its descriptors.
/// Several devices may share one; one of them can hold the right to write.
class MemoryDisk {
public:
  explicit MemoryDisk(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  explicit MemoryDisk(std::uint64_t size_bytes) : bytes_(size_bytes) {}

  /// What it holds at one moment, whatever is going on.
  [[nodiscard]] std::vector<std::byte> copy() {
    const std::shared_lock lock(mutex_);
    return bytes_;
  }
  /// For callers that know that nothing is going on.
  [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }

private:
  friend class MemoryDevice;
  std::shared_mutex mutex_;
  std::vector<std::byte> bytes_;
  const MemoryDevice* owner_ = nullptr;
};

class MemoryDevice final : public BlockDevice {
public:
  explicit MemoryDevice(std::shared_ptr<MemoryDisk> disk, Access access = Access::read_write);
  ~MemoryDevice() override;

  [[nodiscard]] std::string name() const override { return "memory"; }
  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  /// Nothing here outlives the program, and nothing is lost before it ends: the same as write().
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status flush() override { return {}; }
  Status resize(std::uint64_t size_bytes) override;
  Status lock_for_writing() override;
  void unlock() override;

private:
  [[nodiscard]] Status check_range(const char* verb, std::uint64_t offset_bytes,
                                   std::uint64_t length_bytes) const;

  std::shared_ptr<MemoryDisk> disk_;
  Access access_;
};

} // namespace vnvram
