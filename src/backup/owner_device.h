// The device of an image that a running owner has open, to be read.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "rpc/owner_client.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// Shows what lies there, beside the owner's writes; nothing is written.
class OwnerDevice final : public BlockDevice {
public:
  /// The client outlives it. `name`: the owner's socket, for messages.
  OwnerDevice(OwnerClient& owner, std::string name) : owner_(owner), name_(std::move(name)) {}

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] DeviceCapabilities capabilities() const override { return {.remote = true}; }
  Result<std::uint64_t> size_bytes() override { return owner_.read_device(0, {}); }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    while (!buffer.empty()) {
      const auto part = buffer.first(std::min<std::size_t>(buffer.size(), device_read_max_bytes));
      if (const Result<std::uint64_t> read = owner_.read_device(offset_bytes, part); !read) {
        return read.error();
      }
      offset_bytes += part.size();
      buffer = buffer.subspan(part.size());
    }
    return {};
  }
  Status write(std::uint64_t /*offset_bytes*/, std::span<const std::byte> /*data*/) override {
    return refusal();
  }
  Status write_durable(std::uint64_t /*offset_bytes*/,
                       std::span<const std::byte> /*data*/) override {
    return refusal();
  }
  Status flush() override { return refusal(); }
  Status resize(std::uint64_t /*size_bytes*/) override { return refusal(); }
  Status lock_for_writing() override { return refusal(); }
  void unlock() override {}

private:
  [[nodiscard]] Status refusal() const {
    return Error(ErrorKind::read_only, name_ + ": only looked at");
  }

  OwnerClient& owner_;
  const std::string name_;
};

} // namespace vnvram
