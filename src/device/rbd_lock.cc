#include "device/rbd_lock.h"

#include <array>
#include <cerrno>
#include <string>
#include <thread>

#include <fmt/core.h>

#include "device/rbd_error.h"
#include "device/rbd_lockers.h"

namespace vnvram {
namespace {

constexpr std::chrono::milliseconds between_questions{50};

/// Who has taken it by hand, of which librbd is told; empty: nobody. Another one's that librbd asks
/// for it is in `holder`.
Result<std::string> find_lockers_by_hand(const RbdHandle& image, RbdLockHolder& holder) {
  RbdLockers found;
  const int listed = find_rbd_lockers(image.library(), image.image(), found);
  if (listed == -ERANGE) { // librbd's own is one.
    return std::string("many clients have locked it by hand");
  }
  if (listed < 0) {
    return image.cluster().error("find out who has its lock", listed);
  }
  if (found.lockers.empty()) {
    return std::string();
  }
  const RbdLockers::Locker& first = found.lockers.front();
  if (found.are_librbds()) {
    holder.set(fmt::format("{} at {}", first.client, first.address));
    return std::string();
  }
  return fmt::format("{} at {} has locked it by hand{}{}", first.client, first.address,
                     found.tag.empty() ? "" : ", as ", found.tag);
}

// librbd waits without end for who has locked it by hand, and holds no watch that could time out.
Status check_lockers_by_hand(const RbdHandle& image, RbdLockHolder& holder) {
  const Result<std::string> found = find_lockers_by_hand(image, holder);
  if (!found || found->empty()) {
    return found ? Status() : Status(found.error());
  }
  const RbdCluster& cluster = image.cluster();
  return Error(ErrorKind::in_use, fmt::format("{}: {}", cluster.name(), *found),
               fmt::format("`rbd lock ls {0}` shows the lock, `rbd lock rm {0} ID LOCKER` takes it "
                           "away",
                           cluster.location().spec()));
}

/// The address of who has it now, by the cluster's word; empty: nobody, or it is not known.
std::string owner_address(const RbdHandle& image) {
  const RbdLibrary& library = image.library();
  rbd_lock_mode_t mode = RBD_LOCK_MODE_EXCLUSIVE;
  std::array<char*, 8> owners{};
  std::size_t count = owners.size();
  if (library.rbd_lock_get_owners(image.image(), &mode, owners.data(), &count) < 0 || count == 0) {
    return {};
  }
  std::string address = owners.front();
  library.rbd_lock_get_owners_cleanup(owners.data(), count);
  return address;
}

Error not_taken(const RbdHandle& image, int result) {
  const RbdCluster& cluster = image.cluster();
  if (result != -EROFS) {
    return cluster.error("take its exclusive lock", result);
  }
  const std::string address = owner_address(image);
  return {ErrorKind::in_use,
          fmt::format("{}: {} has its exclusive lock", cluster.name(),
                      address.empty() ? "another client" : "a client at " + address),
          "end that owner first, or if it is silent take it over: `takeover`; reading beside it is "
          "possible"};
}

} // namespace

Status take_rbd_lock(const RbdHandle& image, RbdLockHolder& holder) {
  if (Status free = check_lockers_by_hand(image, holder); !free) {
    return free;
  }
  const int taken = image.library().rbd_lock_acquire(image.image(), RBD_LOCK_MODE_EXCLUSIVE);
  return taken < 0 ? Status(not_taken(image, taken)) : Status();
}

Status give_rbd_lock_up(const RbdHandle& image) {
  const int released = image.library().rbd_lock_release(image.image());
  return released < 0 ? Status(image.cluster().error("give its exclusive lock up", released))
                      : Status();
}

Status check_rbd_lock(const RbdHandle& image, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    int is_owner = 0;
    const int asked = image.library().rbd_is_exclusive_lock_owner(image.image(), &is_owner);
    if (asked < 0) {
      return image.cluster().error("find out whether its exclusive lock is still ours", asked);
    }
    if (is_owner != 0) {
      return {};
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Error(ErrorKind::in_use,
                   image.cluster().name() +
                       ": its exclusive lock was lost while the cluster did not answer",
                   "open it again only if it is this machine's turn");
    }
    std::this_thread::sleep_for(between_questions); // Nobody says when librbd has it back.
  }
}

} // namespace vnvram
