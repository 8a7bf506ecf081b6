// A device that has no room any more for superblocks, from one of them on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "device/forwarding_device.h"
#include "format/superblock.h"

namespace vnvram::test {

class FullDevice final : public ForwardingDevice {
public:
  /// How many superblocks can still be written; nothing: all.
  using Room = std::shared_ptr<std::optional<unsigned>>;

  FullDevice(std::unique_ptr<BlockDevice> device, Room room)
      : ForwardingDevice(*device), device_(std::move(device)), room_(std::move(room)) {}

  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    return fits(offset_bytes) ? ForwardingDevice::write(offset_bytes, data) : refusal();
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    return fits(offset_bytes) ? ForwardingDevice::write_durable(offset_bytes, data) : refusal();
  }

private:
  bool fits(std::uint64_t offset_bytes) {
    if (!*room_ || offset_bytes >= format::superblock_count * block_size_bytes) {
      return true;
    }
    if (**room_ == 0) {
      return false;
    }
    --**room_;
    return true;
  }
  [[nodiscard]] Status refusal() const {
    return Error(ErrorKind::no_space, name() + ": no space left on device");
  }

  const std::unique_ptr<BlockDevice> device_;
  const Room room_;
};

} // namespace vnvram::test
