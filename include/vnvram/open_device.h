// From what a user names to a BlockDevice.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

enum class Access { read_only, read_write };

/// How to open a device, beyond what its name says.
struct DeviceOptions {
  /// The file whose bytes, all of them, are the key of an encrypted VM image (LUKS, or qcow2 with
  /// LUKS). Naming one for an image that is not encrypted is an error.
  std::string image_key_file = {};
  /// "raw", "qcow2", "vmdk", "vhdx", "vdi" or "luks"; empty: what the file's first bytes say.
  std::string image_format = {};
  /// For connecting to a server, and for each of its answers.
  std::chrono::milliseconds timeout{30000};
  /// Told, from any thread, what who opens or makes it may want to know: whom it is waited for when
  /// that takes longer than expected, and for how long at most; what others have left behind there.
  std::function<void(const std::string& text)> note = {};
};

/// Opens a regular file, a host block device, a VM image in one of these (qcow2, VMDK, VHDX, VDI,
/// LUKS; told by its first bytes), an NBD export (nbd://HOST[:PORT]/EXPORT,
/// nbd+unix:///EXPORT?socket=PATH; nbds: with TLS), or an image in a Ceph cluster
/// (rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:id=USER][:conf=FILE][:OPTION=VALUE]..., raw, by way of
/// librbd, with a backslash before : @ / and \ that are meant as themselves). "fd:N" is what this
/// process has open as descriptor N: a regular file or a block device, for reading and, if it is to
/// be written, writing; the descriptor itself stays the caller's. Where this process may, it opens
/// the same file again; where it may not, locks belong to all copies of that descriptor. Creates
/// nothing and changes nothing.
///
/// A VM image is served by a qemu-nbd of its own that lives no longer than the device, or this
/// process. It holds QEMU's locks from the opening on: nobody opens a VM image that someone else
/// writes to, not even for reading.
/// Errors: absent; in_use for a VM image, and for a block device that something else on this host
/// holds (a mount, another exclusive opener); io with the system's or qemu-nbd's reason;
/// unsupported for what is neither file nor block device (a folder, a pipe), for kinds of VM images
/// that no store can be kept in, without qemu-nbd, and for an NBD server that lacks what an image
/// needs, and for an RBD image that its cluster has set a cache for; read_only for writing to a
/// snapshot, and to a block device or an export that is set read-only; key_needed, wrong_key;
/// invalid_argument for an unknown format, or a key where nothing is encrypted.
VNVRAM_API Result<std::unique_ptr<BlockDevice>>
open_device(const std::string& location, Access access, const DeviceOptions& options = {});

} // namespace vnvram
