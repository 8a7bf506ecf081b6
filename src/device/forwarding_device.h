// A device that passes everything on to another one: what watches or changes some calls derives
// from it.
#pragma once

#include "vnvram/block_device.h"

namespace vnvram {

/// The target must outlive it. By itself it lets an engine, which wants a device of its own, use
/// one that someone else owns. write_durable_and_read is not passed on as one call but split, so
/// that whoever overrides write_durable and read sees everything.
class ForwardingDevice : public BlockDevice {
public:
  explicit ForwardingDevice(BlockDevice& target) : target_(target) {}

  [[nodiscard]] std::string name() const override { return target_.name(); }
  [[nodiscard]] DeviceCapabilities capabilities() const override { return target_.capabilities(); }
  Result<std::uint64_t> size_bytes() override { return target_.size_bytes(); }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    return target_.read(offset_bytes, buffer);
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    return target_.write(offset_bytes, data);
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    return target_.write_durable(offset_bytes, data);
  }
  Status flush() override { return target_.flush(); }
  Status resize(std::uint64_t size_bytes) override { return target_.resize(size_bytes); }
  Status lock_for_writing() override { return target_.lock_for_writing(); }
  Status shut_out_owner() override { return target_.shut_out_owner(); }
  void unlock() override { target_.unlock(); }
  Status check_name() override { return target_.check_name(); }

  /// The same bytes at the same places, unless the one that derives is another kind of device.
  [[nodiscard]] BlockDevice& target() const { return target_; }

private:
  BlockDevice& target_;
};

} // namespace vnvram
