#include "vnvram/open_device.h"

#include <array>

#include <fmt/core.h>

#include "device/file_device.h"
#include "device/guarded_device.h"
#include "device/image_format.h"
#include "device/location.h"
#include "device/nbd_device.h"
#include "device/rbd_device.h"
#include "device/vm_image_device.h"

namespace vnvram {
namespace {

template <typename Device>
Result<std::unique_ptr<BlockDevice>> as_block_device(Result<std::unique_ptr<Device>> device) {
  if (!device) {
    return device.error();
  }
  return std::unique_ptr<BlockDevice>(std::move(*device));
}

Result<std::unique_ptr<BlockDevice>> open_export(const std::string& uri, Access access,
                                                 const DeviceOptions& options) {
  if (const Status usable = check_no_key(uri, options); !usable) {
    return usable.error();
  }
  NbdTarget target;
  target.name = uri;
  target.uri = uri;
  target.timeout = options.timeout;
  return as_block_device(NbdDevice::connect(target, access));
}

Result<std::unique_ptr<BlockDevice>> open_rbd(const std::string& location, Access access,
                                              const DeviceOptions& options) {
  if (const Status usable = check_no_key(location, options); !usable) {
    return usable.error();
  }
  if (!options.image_format.empty() &&
      options.image_format != image_format_name(ImageFormat::raw)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: an RBD image is raw, not {}", location, options.image_format),
                 "leave the format out");
  }
  return as_block_device(RbdDevice::open(location, access, options.timeout, options.note));
}

Error needs_a_name(const std::string& location, ImageFormat format) {
  return {ErrorKind::unsupported,
          fmt::format("{} ({}): a {} image, which QEMU's programs open by its name", location,
                      location_name(location), image_format_name(format)),
          "name the file itself; a descriptor may be that of a raw file or a block device"};
}

// A file or block device; without the guard block that it may begin with.
Result<std::unique_ptr<BlockDevice>> open_raw(const std::string& location, Access access) {
  Result<std::unique_ptr<FileDevice>> device = FileDevice::open(location, access);
  if (!device) {
    return device.error();
  }
  std::array<std::byte, guard_size_bytes> beginning{};
  const Result<std::uint64_t> size = (*device)->size_bytes();
  const bool is_read = size && *size >= beginning.size() &&
                       (*device)->read(0, beginning).ok(); // Else it is said later.
  const GuardBlock guard = is_read ? read_guard(beginning) : GuardBlock{};
  switch (guard.state) {
  case GuardBlock::State::none: return std::unique_ptr<BlockDevice>(std::move(*device));
  case GuardBlock::State::taking_over:
    return Error(ErrorKind::corrupt,
                 location + ": what swtpm had there was being taken over when it was cut off",
                 "vnvram-swtpm goes on with it at its next start");
  case GuardBlock::State::whole:
  case GuardBlock::State::reset_requested: break;
  }
  return std::unique_ptr<BlockDevice>(std::make_unique<GuardedDevice>(std::move(*device), guard));
}

Result<std::unique_ptr<BlockDevice>> open_path(const std::string& location, Access access,
                                               const DeviceOptions& options) {
  const Result<ImageContainer> container = find_container(location, options);
  if (!container) {
    return container.error();
  }
  if (container->format != ImageFormat::raw && descriptor_of(location)) {
    return needs_a_name(location, container->format);
  }
  if (container->format != ImageFormat::raw) {
    return as_block_device(VmImageDevice::open(QemuFile(location), *container, access, options));
  }
  // What is not there has no encryption to speak of.
  Result<std::unique_ptr<BlockDevice>> device = open_raw(location, access);
  const Status usable = check_no_key(location, options);
  return device && !usable ? Result<std::unique_ptr<BlockDevice>>(usable.error())
                           : std::move(device);
}

} // namespace

Result<std::unique_ptr<BlockDevice>> open_device(const std::string& location, Access access,
                                                 const DeviceOptions& options) {
  switch (scheme_of(location)) {
  case LocationScheme::nbd: return open_export(location, access, options);
  case LocationScheme::rbd: return open_rbd(location, access, options);
  case LocationScheme::owner:
    return Error(ErrorKind::unsupported,
                 location + ": the socket of an image's owner is not the image",
                 "name the image itself, when its owner has ended");
  case LocationScheme::path:
  case LocationScheme::descriptor: break;
  }
  return open_path(location, access, options);
}

} // namespace vnvram
