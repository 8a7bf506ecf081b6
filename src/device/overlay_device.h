// A device as it would be with some of its blocks replaced.
#pragma once

#include <algorithm>
#include <array>
#include <map>

#include "device/forwarding_device.h"

namespace vnvram {

using Block = std::array<std::byte, block_size_bytes>;

/// Reads see the replaced blocks, also where the device itself cannot be read; nothing is written.
/// One thread at a time.
class OverlayDevice final : public ForwardingDevice {
public:
  explicit OverlayDevice(BlockDevice& target) : ForwardingDevice(target) {}

  void replace(std::uint64_t block, const Block& content) { replaced_[block] = content; }
  /// By block number.
  [[nodiscard]] const std::map<std::uint64_t, Block>& replaced() const { return replaced_; }

  [[nodiscard]] DeviceCapabilities capabilities() const override { return {}; }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    const auto from = replaced_.lower_bound(offset_bytes / block_size_bytes);
    const auto to = replaced_.lower_bound((offset_bytes + buffer.size()) / block_size_bytes);
    if (from == to) {
      return ForwardingDevice::read(offset_bytes, buffer);
    }
    std::uint64_t at = offset_bytes;
    for (auto replaced = from; replaced != to; ++replaced) {
      const std::uint64_t replaced_at = replaced->first * block_size_bytes;
      const Status read = read_before(at, replaced_at, offset_bytes, buffer);
      if (!read) {
        return read;
      }
      std::copy(replaced->second.begin(), replaced->second.end(),
                buffer.begin() + static_cast<std::ptrdiff_t>(replaced_at - offset_bytes));
      at = replaced_at + block_size_bytes;
    }
    return read_before(at, offset_bytes + buffer.size(), offset_bytes, buffer);
  }
  Status write(std::uint64_t, std::span<const std::byte>) override { return refusal(); }
  Status write_durable(std::uint64_t, std::span<const std::byte>) override { return refusal(); }
  Status resize(std::uint64_t) override { return refusal(); }

private:
  Status read_before(std::uint64_t from, std::uint64_t to, std::uint64_t offset_bytes,
                     std::span<std::byte> buffer) {
    return from == to
               ? Status{}
               : ForwardingDevice::read(from, buffer.subspan(from - offset_bytes, to - from));
  }
  [[nodiscard]] Status refusal() const {
    return Error{ErrorKind::read_only, name() + ": only looked at"};
  }

  std::map<std::uint64_t, Block> replaced_;
};

} // namespace vnvram
