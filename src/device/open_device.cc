#include "vnvram/open_device.h"

#include "device/file_device.h"
#include "device/nbd_device.h"

namespace vnvram {
namespace {

template <typename Device>
Result<std::unique_ptr<BlockDevice>> as_block_device(Result<std::unique_ptr<Device>> device) {
  if (!device) {
    return device.error();
  }
  return std::unique_ptr<BlockDevice>(std::move(*device));
}

} // namespace

Result<std::unique_ptr<BlockDevice>> open_device(const std::string& location, Access access) {
  if (is_nbd_uri(location)) {
    NbdTarget target;
    target.name = location;
    target.uri = location;
    return as_block_device(NbdDevice::connect(target, access));
  }
  return as_block_device(FileDevice::open(location, access));
}

} // namespace vnvram
