// A memory device whose calls a test can watch, or let fail.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "device/forwarding_device.h"
#include "device/memory_device.h"

namespace vnvram {

class HookedDevice final : public ForwardingDevice {
public:
  enum class Call { read, write, write_durable, write_durable_and_read, flush };
  /// Asked before each call; an error is returned in the device's place.
  using Hook =
      std::function<Status(Call call, std::uint64_t offset_bytes, std::span<const std::byte> data)>;

  /// `hook` may be changed while no call is under way. With `locks` false it is a device that
  /// another owner can open, too.
  HookedDevice(std::shared_ptr<MemoryDisk> disk, std::shared_ptr<Hook> hook, bool locks = true)
      : ForwardingDevice(memory_), memory_(std::move(disk)), hook_(std::move(hook)), locks_(locks) {
  }

  [[nodiscard]] std::string name() const override { return "hooked"; }
  /// What it says of itself, instead.
  void set_capabilities(const DeviceCapabilities& can) { capabilities_ = can; }
  [[nodiscard]] DeviceCapabilities capabilities() const override {
    DeviceCapabilities can = capabilities_.value_or(memory_.capabilities());
    can.lock = locks_;
    return can;
  }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    const Status asked = ask(Call::read, offset_bytes, buffer);
    return asked ? memory_.read(offset_bytes, buffer) : asked;
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status asked = ask(Call::write, offset_bytes, data);
    return asked ? memory_.write(offset_bytes, data) : asked;
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status asked = ask(Call::write_durable, offset_bytes, data);
    return asked ? memory_.write_durable(offset_bytes, data) : asked;
  }
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override {
    const Status asked = ask(Call::write_durable_and_read, write_offset_bytes, data);
    const Status written = asked ? memory_.write_durable(write_offset_bytes, data) : asked;
    return written ? memory_.read(read_offset_bytes, buffer) : written;
  }
  Status flush() override { return ask(Call::flush, 0, {}); }
  Status lock_for_writing() override { return locks_ ? memory_.lock_for_writing() : Status{}; }

private:
  Status ask(Call call, std::uint64_t offset_bytes, std::span<const std::byte> data) {
    return *hook_ ? (*hook_)(call, offset_bytes, data) : Status{};
  }

  MemoryDevice memory_;
  std::shared_ptr<Hook> hook_;
  bool locks_;
  std::optional<DeviceCapabilities> capabilities_;
};

} // namespace vnvram
