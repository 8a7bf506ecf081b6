// A device that is read as fast as somebody else allows.
#pragma once

#include <cstddef>
#include <functional>

#include "device/forwarding_device.h"

namespace vnvram {

class PacedDevice final : public ForwardingDevice {
public:
  using BeforeRead = std::function<Status(std::size_t size_bytes)>;

  /// Asked before each reading, until it refuses one: then all are refused; empty: nobody is. Both
  /// outlive it.
  PacedDevice(BlockDevice& target, const BeforeRead& before_read)
      : ForwardingDevice(target), before_read_(before_read) {}

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    if (refusal_ && before_read_) {
      refusal_ = before_read_(buffer.size());
    }
    return refusal_ ? ForwardingDevice::read(offset_bytes, buffer) : refusal_;
  }
  /// Success: none was refused. Who reads may have taken it for damage.
  [[nodiscard]] const Status& refusal() const { return refusal_; }

private:
  const BeforeRead& before_read_;
  Status refusal_;
};

} // namespace vnvram
