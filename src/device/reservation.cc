#include "vnvram/reservation.h"

#include "device/file_device.h"
#include "device/forwarding_device.h"
#include "device/given_back.h"

namespace vnvram {

Status given_back(BlockDevice& device) {
  if (const auto* const file = dynamic_cast<FileDevice*>(&device)) {
    return file->given_back();
  }
  auto* const forwarding = dynamic_cast<ForwardingDevice*>(&device);
  return forwarding != nullptr ? given_back(forwarding->target()) : Status();
}

Status reserve_when_locked(BlockDevice& device) {
  if (auto* const file = dynamic_cast<FileDevice*>(&device)) {
    return file->reserve_when_locked();
  }
  if (auto* const forwarding = dynamic_cast<ForwardingDevice*>(&device)) {
    return reserve_when_locked(forwarding->target());
  }
  return Error(ErrorKind::invalid_argument, device.name() + ": is no block device to reserve",
               "leave the reservation out: RBD has a fence of its own, and a VM image its locks");
}

} // namespace vnvram
