// What lies behind a guard block, as a device.
#pragma once

#include <cstdint>
#include <memory>

#include "device/file_device.h"
#include "device/forwarding_device.h"
#include "device/guard_block.h"
#include "device/space_keeper.h"

namespace vnvram {

/// A file or block device without its first block, and no longer than the guard says that the image
/// is. The guard itself is never touched.
class GuardedDevice final : public ForwardingDevice, public SpaceKeeper {
public:
  GuardedDevice(std::unique_ptr<FileDevice> device, const GuardBlock& guard)
      : ForwardingDevice(*device), device_(std::move(device)),
        image_size_bytes_(guard.image_size_bytes) {}

  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override;
  Status resize(std::uint64_t size_bytes) override;

private:
  Status reserve_space(const ByteRange& range) override;

  [[nodiscard]] bool ends_before_device() const { return image_size_bytes_ != 0; }

  std::unique_ptr<FileDevice> device_;
  const std::uint64_t image_size_bytes_;
};

} // namespace vnvram
