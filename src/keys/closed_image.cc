#include "keys/closed_image.h"

#include "device/unclosed_image.h"
#include "keys/keyed_image.h"

namespace vnvram {

Status check_closed(BlockDevice& device) {
  const Result<format::Superblock> superblock = read_current_superblock(device);
  if (!superblock || (superblock->features_must_know & format::feature_sealed) != 0) {
    return {};
  }
  const LastOwner owner{.pid = superblock->owner_pid, .host = superblock->owner_host.data()};
  return may_be_open_elsewhere(device.capabilities(), owner)
             ? Status(open_elsewhere(device.name(), owner))
             : Status();
}

} // namespace vnvram
