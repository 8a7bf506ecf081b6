// What is on its way to a device, in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "device/forwarding_device.h"

namespace vnvram {

/// For a device that is slower than somebody can wait for. What is between two writes is zeros.
class WriteBuffer final : public ForwardingDevice {
public:
  using ForwardingDevice::ForwardingDevice;

  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    begin_bytes_ = bytes_.empty() ? offset_bytes : std::min(begin_bytes_, offset_bytes);
    bytes_.resize(std::max<std::size_t>(bytes_.size(), offset_bytes + data.size()));
    std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
    return {};
  }
  /// From the first byte that was written to the last one.
  Status write_out() {
    Status done;
    for (std::uint64_t at = begin_bytes_; done && at < bytes_.size(); at += piece_size_bytes) {
      const auto rest = std::span(std::as_const(bytes_)).subspan(at);
      done = ForwardingDevice::write(at, rest.first(std::min(rest.size(), piece_size_bytes)));
    }
    return done;
  }

private:
  static constexpr std::size_t piece_size_bytes = std::size_t{1} << 20U;

  std::vector<std::byte> bytes_; ///< From the device's beginning.
  std::uint64_t begin_bytes_ = 0;
};

} // namespace vnvram
