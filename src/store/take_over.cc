#include "vnvram/take_over.h"

#include <fmt/core.h>

#include "store/owner_name.h"
#include "store/sealed_error.h"
#include "store/superblock_reader.h"
#include "store/unlock.h"

namespace vnvram {
namespace {

// Whoever holds a lock that is seen here lives, whatever is said of him.
Status look_at_lock_of(BlockDevice& device, const format::Superblock& superblock) {
  if (!device.capabilities().lock) {
    return {};
  }
  const Status locked = device.lock_for_writing();
  if (locked) {
    device.unlock();
    return {};
  }
  return locked.error().kind() != ErrorKind::in_use || superblock.owner_pid == 0
             ? locked
             : Status(Error(ErrorKind::in_use,
                            fmt::format("{}: in use by {}, which has its lock", device.name(),
                                        owner_name(superblock)),
                            "stop it first: nobody is shut out who holds a lock and lives"));
}

// Where there is more to say of it than that it is so; without the device's name.
std::string why(const BlockDevice& device, const Error& not_shut_out) {
  const std::string name = device.name() + ": ";
  const std::string& cause = not_shut_out.cause();
  return cause.starts_with(name) ? cause.substr(name.size()) : cause;
}

} // namespace

Status take_over(BlockDevice& device, OwnerWord word, const KeyRing& keys) {
  const Result<format::Superblock> superblock = find_superblock(device);
  if (!superblock) {
    return superblock.error();
  }
  const bool is_sealed = (superblock->features_must_know & format::feature_sealed) != 0;
  const Result<format::Codec> opens = unlock(device, *superblock, keys);
  if (!opens && !is_sealed) {
    return opens.error();
  }
  Status shut_out = opens ? device.shut_out_owner() : Status(opens.error());
  if (is_sealed) { // To be unsealed, by a word, it has to take this host's writes.
    const bool has_failed = opens && !shut_out && shut_out.error().kind() != ErrorKind::unsupported;
    return has_failed ? shut_out
                      : Status(sealed_error(device.name(), superblock->generation,
                                            HandOverNumber{superblock->hand_over}));
  }
  if (shut_out || shut_out.error().kind() != ErrorKind::unsupported) {
    return shut_out;
  }
  if (const Status free = look_at_lock_of(device, *superblock); !free) {
    return free;
  }
  if (word == OwnerWord::is_dead || superblock->owner_pid == 0) { // Or it was closed.
    return {};
  }
  return Error(ErrorKind::in_use,
               fmt::format("{}: {} has not closed it, and this storage cannot shut it out ({})",
                           device.name(), owner_name(*superblock), why(device, shut_out.error())),
               "end that process, or cut its host's power; then --owner-is-dead is your word that "
               "it writes nothing any more here; also if this is a copy of what it has open, which "
               "can go on then");
}

} // namespace vnvram
