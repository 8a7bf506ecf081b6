// What QEMU can do to a VM image only before somebody opens it.
#include <algorithm>

#include "device/image_format.h"
#include "device/location.h"
#include "device/qemu_img.h"
#include "store/superblock_reader.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

bool is_ours_and_shorter(const std::string& path, std::uint64_t size_bytes,
                         const DeviceOptions& options) {
  const Result<std::unique_ptr<BlockDevice>> device = open_device(path, Access::read_only, options);
  const Result<std::uint64_t> size = device ? (*device)->size_bytes() : device.error();
  if (!size || *size >= size_bytes) {
    return false;
  }
  const Result<format::Superblock> ours = find_superblock(**device);
  // Whoever has not closed it may live on another host, where QEMU's lock does not reach.
  return ours && (ours->features_must_know & format::feature_sealed) == 0 && ours->owner_pid == 0;
}

} // namespace

Status lengthen_vm_image(const std::string& path, std::uint64_t size_bytes,
                         const DeviceOptions& options) {
  if (size_bytes == 0 || scheme_of(path) != LocationScheme::path) {
    return {};
  }
  const Result<ImageContainer> container = find_container(path, options);
  const std::uint64_t whole_bytes =
      std::min(size_bytes, image_size_max_bytes) / block_size_bytes * block_size_bytes;
  if (!container || container->format != ImageFormat::qcow2 ||
      !is_ours_and_shorter(path, whole_bytes, options)) {
    return {};
  }
  return grow_vm_image(path, *container, whole_bytes, AddedSpace::none, options);
}

} // namespace vnvram
