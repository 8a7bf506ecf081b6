// The formats in which VM images are stored, and how a file shows which one it is in.
#pragma once

#include <string>
#include <string_view>

#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

enum class ImageFormat { raw, qcow2, vmdk, vhdx, vdi, luks };

/// As QEMU calls it.
std::string_view image_format_name(ImageFormat format);
/// Error: invalid_argument, with the names that there are.
Result<ImageFormat> parse_image_format(std::string_view name);
/// What the ending of a new file's name asks for: ".qcow2" and so on; raw for all others.
ImageFormat image_format_by_ending(std::string_view path);

/// How a file stores an image.
struct ImageContainer {
  ImageFormat format = ImageFormat::raw;
  bool encrypted = false; ///< Nothing of it can be read without a key.
};

/// What open_device() takes `path` for: what the options say, else what recognise_image() finds.
Result<ImageContainer> find_container(const std::string& path, const DeviceOptions& options);
/// For what is not encrypted. Error: invalid_argument.
Status check_no_key(const std::string& name, const DeviceOptions& options);

/// Looks at the first bytes of a file or block device. They are never the guest's: an image of ours
/// begins with our superblock, and a VM image with its format's header. All that is not a VM image,
/// or cannot be opened, is raw: whoever opens it as such says what it is.
/// Error: unsupported for a kind of VM image that no store can be kept in.
Result<ImageContainer> recognise_image(const std::string& path);

} // namespace vnvram
