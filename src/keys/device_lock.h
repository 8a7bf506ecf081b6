// The right to write to a device, given back at the end.
#pragma once

#include <fmt/core.h>

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

class DeviceLock {
public:
  explicit DeviceLock(BlockDevice& device) : device_(&device) {}
  DeviceLock(const DeviceLock&) = delete;
  DeviceLock& operator=(const DeviceLock&) = delete;
  ~DeviceLock() {
    if (taken_) {
      device_->unlock();
    }
  }

  /// Errors: in_use, read_only.
  Status take() {
    if (!device_->capabilities().write) {
      return Error(ErrorKind::read_only,
                   fmt::format("{}: the device is read-only", device_->name()));
    }
    Status locked = device_->lock_for_writing();
    taken_ = locked.ok();
    return locked;
  }

private:
  BlockDevice* device_;
  bool taken_ = false;
};

} // namespace vnvram
