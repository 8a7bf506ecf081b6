#include "device/guarded_device.h"

#include <algorithm>
#include <limits>

namespace vnvram {
namespace {

// Of a number that anybody may have made up: one that has no place is behind every end.
std::uint64_t behind_guard(std::uint64_t offset_bytes) {
  constexpr std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
  return offset_bytes > last - guard_size_bytes ? last : offset_bytes + guard_size_bytes;
}

} // namespace

DeviceCapabilities GuardedDevice::capabilities() const {
  DeviceCapabilities capabilities = device_->capabilities();
  capabilities.resize = capabilities.resize && !ends_before_device();
  return capabilities;
}

Result<std::uint64_t> GuardedDevice::size_bytes() {
  const Result<std::uint64_t> all = device_->size_bytes();
  if (!all) {
    return all;
  }
  const std::uint64_t behind_bytes = *all < guard_size_bytes ? 0 : *all - guard_size_bytes;
  return ends_before_device() ? std::min(behind_bytes, image_size_bytes_) : behind_bytes;
}

Status GuardedDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  return device_->read(behind_guard(offset_bytes), buffer);
}

Status GuardedDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  return device_->write(behind_guard(offset_bytes), data);
}

Status GuardedDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  return device_->write_durable(behind_guard(offset_bytes), data);
}

Status GuardedDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                             std::span<const std::byte> data,
                                             std::uint64_t read_offset_bytes,
                                             std::span<std::byte> buffer) {
  return device_->write_durable_and_read(behind_guard(write_offset_bytes), data,
                                         behind_guard(read_offset_bytes), buffer);
}

Status GuardedDevice::resize(std::uint64_t size_bytes) {
  if (ends_before_device()) {
    return Error(ErrorKind::unsupported,
                 name() + ": behind the image there is what swtpm had in this place",
                 "copy the image to a larger place");
  }
  return device_->resize(behind_guard(size_bytes));
}

Status GuardedDevice::reserve_space(const ByteRange& range) {
  return device_->reserve_space({behind_guard(range.offset_bytes), range.length_bytes});
}

} // namespace vnvram
