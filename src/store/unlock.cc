#include "store/unlock.h"

#include <fmt/core.h>

#include "keys/key_ring_state.h"

namespace vnvram {

Result<format::Codec> unlock(BlockDevice& device, const format::Superblock& superblock,
                             const KeyRing& keys) {
  if (!format::is_encrypted(superblock)) {
    return format::Codec(superblock);
  }
  const auto found = find_image_keys(device, superblock, keys);
  if (!found) {
    return found.error();
  }
  format::Codec codec(superblock, *found);
  if (!codec.is_authentic(superblock)) {
    return Error{ErrorKind::corrupt,
                 fmt::format("{}: superblock {} was not made by who has the image's key",
                             device.name(), std::string_view("ABC").substr(superblock.copy, 1)),
                 "somebody has changed the image: go on with a copy that you trust"};
  }
  return codec;
}

} // namespace vnvram
