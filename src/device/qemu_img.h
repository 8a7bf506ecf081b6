// The program qemu-img, for making and growing the files of VM images.
#pragma once

#include <cstdint>
#include <string>

#include "device/image_format.h"
#include "device/qemu_file.h"
#include "vnvram/open_device.h"

namespace vnvram {

/// Whether a new image `name` can have the key in `options`, or go without. With a key a qcow2
/// image is encrypted. Errors: key_needed (for LUKS); invalid_argument (a format without
/// encryption).
Status check_key_fits(const std::string& name, ImageFormat format, const DeviceOptions& options);

/// Makes a VM image of a file that is there and that nobody uses. What a write would allocate later
/// is allocated now, or by the first write of all of it. Not durable yet. Errors: no_space;
/// unsupported (there is no qemu-img); io with what it said.
Status make_vm_image(const QemuFile& file, ImageFormat format, std::uint64_t size_bytes,
                     const DeviceOptions& options);

/// What a VM image has of what it grows by.
enum class AddedSpace {
  mapped, ///< A place for each part of it, for who writes all of it next.
  none,   ///< Nothing, as far as its format can do that.
};

/// Grows a VM image that nobody has open. Errors: in_use; unsupported, for a format that QEMU
/// cannot grow, too; no_space; io.
Status grow_vm_image(const std::string& path, const ImageContainer& image, std::uint64_t size_bytes,
                     AddedSpace space, const DeviceOptions& options);

} // namespace vnvram
