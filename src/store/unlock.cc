#include "store/unlock.h"

#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "format/superblock_pair.h"
#include "keys/key_ring_state.h"

namespace vnvram {

namespace {

Error forged(BlockDevice& device, const format::Superblock& superblock) {
  return {ErrorKind::corrupt,
          fmt::format("{}: superblock {} was not made by who has the image's key", device.name(),
                      std::string_view("ABC").substr(superblock.copy, 1)),
          "somebody has changed the image: go on with a copy that you trust"};
}

// The copy that is not current may be of another data key: one was being exchanged for the other.
Status check_others(BlockDevice& device, const format::Superblock& current, const KeyRing& keys) {
  const Result<format::SuperblockPair> pair = format::read_superblocks(device);
  if (!pair) {
    return pair.error();
  }
  for (const format::CheckedSuperblock& copy : pair->copies) {
    const format::Superblock& other = copy.superblock;
    if (copy.state != format::SuperblockState::valid || !format::is_encrypted(other) ||
        other.sequence >= current.sequence) { // Its owner goes on.
      continue;
    }
    const auto found = find_image_keys(device, other, keys);
    if (!found || !format::Codec(other, *found).is_authentic(other)) {
      return forged(device, other);
    }
  }
  return {};
}

} // namespace

Result<format::Codec> unlock(BlockDevice& device, const format::Superblock& superblock,
                             const KeyRing& keys) {
  if (!format::is_encrypted(superblock)) {
    const Status expected = check_plain(device, keys);
    return expected ? Result<format::Codec>(format::Codec(superblock)) : expected.error();
  }
  const auto found = find_image_keys(device, superblock, keys);
  if (!found) {
    return found.error();
  }
  format::Codec codec(superblock, *found);
  if (!codec.is_authentic(superblock)) {
    return forged(device, superblock);
  }
  const Status others = check_others(device, superblock, keys);
  return others ? Result<format::Codec>(std::move(codec)) : others.error();
}

} // namespace vnvram
