#include "vnvram/take_over.h"

#include <fmt/core.h>

#include "format/superblock_pair.h"

namespace vnvram {

Status take_over(BlockDevice& device, OwnerWord word) {
  Status shut_out = device.shut_out_owner();
  if (shut_out || shut_out.error().kind() != ErrorKind::unsupported) {
    return shut_out;
  }
  if (word == OwnerWord::is_dead) {
    return {};
  }
  const Result<format::SuperblockPair> pair = format::read_superblocks(device);
  if (!pair) {
    return pair.error();
  }
  const format::Superblock* current = pair->current();
  if (current == nullptr || current->owner_pid == 0) { // No image, or one that was closed.
    return {};
  }
  return Error(ErrorKind::in_use,
               fmt::format("{}: process {} on {} has not closed it, and this storage cannot shut "
                           "it out",
                           device.name(), current->owner_pid, current->owner_host.data()),
               "end that process, or cut its host's power; then --owner-is-dead is your word that "
               "it writes nothing any more");
}

} // namespace vnvram
