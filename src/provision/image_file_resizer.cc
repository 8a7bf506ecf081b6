// resize_image at a path: a VM image's file is grown first, by the program that may.
#include <algorithm>
#include <vector>

#include "device/image_format.h"
#include "device/location.h"
#include "device/qemu_img.h"
#include "store/superblock_reader.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

// So that no later commit has to allocate.
Status write_zeros(BlockDevice& device, std::uint64_t from_bytes, std::uint64_t to_bytes) {
  const std::vector<std::byte> zeros(std::size_t{1} << 20U);
  Status done;
  for (std::uint64_t at = from_bytes; done && at < to_bytes; at += zeros.size()) {
    done = device.write(
        at, std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), to_bytes - at)));
  }
  return done ? device.flush() : done;
}

std::uint64_t whole_blocks(std::uint64_t size_bytes) {
  return size_bytes / block_size_bytes * block_size_bytes;
}

// The size of the VM's image, if what it holds is ours.
Result<std::uint64_t> image_size(const std::string& path, const DeviceOptions& options) {
  const Result<std::unique_ptr<BlockDevice>> device = open_device(path, Access::read_only, options);
  if (!device) {
    return device.error();
  }
  const Result<format::Superblock> ours = find_superblock(**device);
  return ours ? (*device)->size_bytes() : ours.error();
}

Status resize_vm_image(const std::string& path, const ImageContainer& container,
                       std::uint64_t size_bytes, const DeviceOptions& options,
                       const KeyRing& keys) {
  const Result<std::uint64_t> old_size = image_size(path, options);
  if (!old_size) {
    return old_size.error();
  }
  const bool grows = size_bytes <= image_size_max_bytes && whole_blocks(size_bytes) > *old_size;
  if (grows) {
    const Status grown =
        grow_vm_image(path, container, whole_blocks(size_bytes), AddedSpace::mapped, options);
    if (!grown) {
      return grown;
    }
  }
  const Result<std::unique_ptr<BlockDevice>> device =
      open_device(path, Access::read_write, options);
  if (!device) {
    return device.error();
  }
  const Status allocated =
      grows ? write_zeros(**device, whole_blocks(*old_size), whole_blocks(size_bytes)) : Status{};
  return allocated ? resize_image(**device, size_bytes, keys) : allocated;
}

} // namespace

Status resize_image_file(const std::string& path, std::uint64_t size_bytes,
                         const DeviceOptions& options, const KeyRing& keys) {
  const Result<ImageContainer> container =
      is_served(path) ? Result<ImageContainer>(ImageContainer{}) : find_container(path, options);
  if (!container) {
    return container.error();
  }
  if (container->format != ImageFormat::raw) {
    return resize_vm_image(path, *container, size_bytes, options, keys);
  }
  const Result<std::unique_ptr<BlockDevice>> device =
      open_device(path, Access::read_write, options);
  return device ? resize_image(**device, size_bytes, keys) : device.error();
}

} // namespace vnvram
