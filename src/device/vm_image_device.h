// A VM image (qcow2, vmdk, vhdx, vdi, LUKS) as a BlockDevice, through a qemu-nbd of its own.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "device/file_name.h"
#include "device/image_format.h"
#include "device/qemu_file.h"
#include "device/space_keeper.h"
#include "vnvram/block_device.h"
#include "vnvram/open_device.h"

namespace vnvram {

class NbdDevice;
class QemuNbdServer;

/// Opening takes QEMU's own locks on the image and unlock() gives them up: the server ends with
/// them, and the next call that needs one starts another. A server that is lost in between is not
/// replaced: nobody knows what became of its last writes.
class VmImageDevice final : public BlockDevice, public SpaceKeeper {
public:
  /// Errors: in_use, in reading, too, as QEMU does not let others read beside a writer; key_needed,
  /// wrong_key, invalid_argument (a key for an image without encryption), unsupported (no
  /// qemu-nbd), io.
  static Result<std::unique_ptr<VmImageDevice>> open(const QemuFile& file,
                                                     const ImageContainer& image, Access access,
                                                     const DeviceOptions& options);
  ~VmImageDevice() override;

  [[nodiscard]] std::string name() const override { return where_.name(); }
  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override;
  Status flush() override;
  /// Unsupported: see resize_image_file().
  Status resize(std::uint64_t size_bytes) override;
  Status lock_for_writing() override;
  void unlock() override;
  Status check_name() override;

private:
  /// In the VM image, and then in the file that it is.
  Status reserve_space(const ByteRange& range) override;
  /// By qemu-nbd alone, which has what it takes open.
  Status reserve_added_space(const ByteRange& range) override;
  VmImageDevice(QemuFile file, const ImageContainer& image, Access access, DeviceOptions options);
  Status start();
  [[nodiscard]] Status check_durable_is_found() const;
  /// Runs `call` on the connection, which is made anew after unlock().
  template <typename Call> Status with_connection(Call&& call);
  Error explained(const Error& error);
  Status allocate(const ByteRange& range);
  Status rewrite(NbdDevice& device, const ByteRange& range);

  const QemuFile where_;
  const ImageContainer image_;
  const Access access_;
  const DeviceOptions options_;
  bool unseen_owners_ = false; ///< Of what the VM image is in.
  UniqueFd file_;              ///< The image's file, to look at: O_PATH.
  std::optional<FileName> file_name_;
  std::mutex starting_;
  std::unique_ptr<QemuNbdServer> server_;
  std::unique_ptr<NbdDevice> connection_; ///< Closed before the server's end is waited for.
};

} // namespace vnvram
