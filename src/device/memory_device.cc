#include "device/memory_device.h"

#include <algorithm>
#include <mutex>

#include <fmt/core.h>

namespace vnvram {
namespace {

Error opened_read_only() {
  return {ErrorKind::read_only, "memory: opened read-only"};
}

} // namespace

MemoryDevice::MemoryDevice(std::shared_ptr<MemoryDisk> disk, Access access)
    : disk_(std::move(disk)), access_(access) {}

MemoryDevice::~MemoryDevice() {
  MemoryDevice::unlock();
}

DeviceCapabilities MemoryDevice::capabilities() const {
  const bool writable = access_ == Access::read_write;
  return {.write = writable, .resize = writable, .lock = true, .content_may_change = false};
}

Result<std::uint64_t> MemoryDevice::size_bytes() {
  const std::shared_lock lock(disk_->mutex_);
  return std::uint64_t{disk_->bytes_.size()};
}

Status MemoryDevice::check_range(const char* verb, std::uint64_t offset_bytes,
                                 std::uint64_t length_bytes) const {
  const std::uint64_t size = disk_->bytes_.size();
  if (offset_bytes > size || length_bytes > size - offset_bytes) {
    return Error(ErrorKind::io, fmt::format("memory: cannot {} {} bytes at {}: it ends at {}", verb,
                                            length_bytes, offset_bytes, size));
  }
  return {};
}

Status MemoryDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  const std::shared_lock lock(disk_->mutex_);
  Status status = check_range("read", offset_bytes, buffer.size());
  if (status) {
    std::copy_n(disk_->bytes_.begin() + static_cast<std::ptrdiff_t>(offset_bytes), buffer.size(),
                buffer.begin());
  }
  return status;
}

Status MemoryDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (access_ != Access::read_write) {
    return opened_read_only();
  }
  const std::unique_lock lock(disk_->mutex_);
  Status status = check_range("write", offset_bytes, data.size());
  if (status) {
    std::copy(data.begin(), data.end(),
              disk_->bytes_.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
  }
  return status;
}

Status MemoryDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  return write(offset_bytes, data);
}

Status MemoryDevice::resize(std::uint64_t size_bytes) {
  if (access_ != Access::read_write) {
    return opened_read_only();
  }
  const std::unique_lock lock(disk_->mutex_);
  if (size_bytes < disk_->bytes_.size()) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("memory: cannot shrink from {} to {} bytes", disk_->bytes_.size(), size_bytes));
  }
  disk_->bytes_.resize(size_bytes);
  return {};
}

Status MemoryDevice::lock_for_writing() {
  if (access_ != Access::read_write) {
    return opened_read_only();
  }
  const std::unique_lock lock(disk_->mutex_);
  if (disk_->owner_ != nullptr && disk_->owner_ != this) {
    return Error(ErrorKind::in_use, "memory: another owner has it open for writing");
  }
  disk_->owner_ = this;
  return {};
}

void MemoryDevice::unlock() {
  const std::unique_lock lock(disk_->mutex_);
  if (disk_->owner_ == this) {
    disk_->owner_ = nullptr;
  }
}

} // namespace vnvram
