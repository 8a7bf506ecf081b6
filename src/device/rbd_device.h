// An image in a Ceph cluster (RBD) as a BlockDevice, through librbd.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "vnvram/block_device.h"
#include "vnvram/open_device.h"

namespace vnvram {

class RbdImage;
struct RbdLocation;

/// A write is durable when it returns: librbd has no cache here, and answers when all OSDs that are
/// to have it have it on their disks. Every answer has a deadline. After the first that fails, the
/// device is given up for good: nobody knows then what became of it, so that it has the cluster
/// shut it out. To open the image again is the way on.
///
/// Where the image has Ceph's exclusive lock among its features, it is taken by lock_for_writing(),
/// nothing is written without it, and who loses it is fenced by the OSDs. Without that feature
/// there is no lock, as on an NBD export.
class RbdDevice final : public BlockDevice {
public:
  /// `note`: see DeviceOptions. Errors: absent, read_only (a snapshot), invalid_argument (the
  /// location), unsupported, io.
  static Result<std::unique_ptr<RbdDevice>>
  open(const std::string& location, Access access, std::chrono::milliseconds timeout,
       std::function<void(const std::string& text)> note = {});
  static Result<std::unique_ptr<RbdDevice>> open(const RbdLocation& location, Access access,
                                                 std::chrono::milliseconds timeout);
  ~RbdDevice() override;

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  /// Both are one round trip; on an image without a lock two.
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override;
  /// Nothing, without the lock: it is not taken for that.
  Status flush() override;
  /// Space is the cluster's affair, which has none set aside for any image.
  Status resize(std::uint64_t size_bytes) override;
  /// Waits for the cluster to find out that an owner who holds the lock has died, within the
  /// deadline; not for one that lives.
  Status lock_for_writing() override;
  Status shut_out_owner() override;
  void unlock() override;

private:
  RbdDevice(std::unique_ptr<RbdImage> image, Access access);
  Status check_range(const char* verb, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  [[nodiscard]] Status check_writable() const;
  Status check_write(std::uint64_t offset_bytes, std::uint64_t length_bytes);

  std::unique_ptr<RbdImage> image_;
  const Access access_;
  std::function<void(const std::string& text)> note_ = {};
  bool locked_ = false;
};

} // namespace vnvram
