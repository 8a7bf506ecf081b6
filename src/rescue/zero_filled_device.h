// A device of which some parts cannot be read, with zeros in their place.
#pragma once

#include <algorithm>

#include "device/forwarding_device.h"

namespace vnvram {

/// For what has checksums: zeros pass for nothing that was written. Only to be read.
class ZeroFilledDevice final : public ForwardingDevice {
public:
  explicit ZeroFilledDevice(BlockDevice& target) : ForwardingDevice(target) {}

  [[nodiscard]] DeviceCapabilities capabilities() const override { return {}; }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    if (ForwardingDevice::read(offset_bytes, buffer)) {
      return {};
    }
    for (std::size_t done = 0; done < buffer.size(); done += block_size_bytes) {
      const auto part = buffer.subspan(done, std::min(block_size_bytes, buffer.size() - done));
      if (!ForwardingDevice::read(offset_bytes + done, part)) {
        std::fill(part.begin(), part.end(), std::byte{0});
        has_filled_ = true;
      }
    }
    return {};
  }

  /// Something that was asked for could not be read.
  [[nodiscard]] bool has_filled() const { return has_filled_; }

private:
  bool has_filled_ = false;
};

} // namespace vnvram
