// The right to write to a device, given back at the end.
#pragma once

#include <fmt/core.h>

#include "keys/closed_image.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

class DeviceLock {
public:
  /// What an owner on another host has not closed.
  enum class Unclosed { refused, accepted };

  explicit DeviceLock(BlockDevice& device) : device_(&device) {}
  DeviceLock(const DeviceLock&) = delete;
  DeviceLock& operator=(const DeviceLock&) = delete;
  ~DeviceLock() {
    if (taken_) {
      device_->unlock();
    }
  }

  /// Errors: in_use, read_only.
  Status take(Unclosed unclosed = Unclosed::refused) {
    if (!device_->capabilities().write) {
      return Error(ErrorKind::read_only,
                   fmt::format("{}: the device is read-only", device_->name()));
    }
    Status locked = device_->lock_for_writing();
    taken_ = locked.ok();
    return locked && unclosed == Unclosed::refused ? check_closed(*device_) : locked;
  }

private:
  BlockDevice* device_;
  bool taken_ = false;
};

} // namespace vnvram
