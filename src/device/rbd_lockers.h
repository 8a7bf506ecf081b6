// Who has locked an RBD image, by the cluster's word.
#pragma once

#include <string>
#include <vector>

#include <rbd/librbd.h>

#include "device/rbd_library.h"

namespace vnvram {

struct RbdLockers {
  struct Locker {
    std::string client;
    std::string address;
  };
  std::string tag; ///< Of all of them.
  std::vector<Locker> lockers;

  /// The exclusive lock, and none that somebody has taken with `rbd lock add`.
  [[nodiscard]] bool are_librbds() const { return tag == "internal"; }
};

/// 0, or -errno: ERANGE where there are more than some dozens. It may wait without end: for
/// call_in_time().
[[nodiscard]] int find_rbd_lockers(const RbdLibrary& library, rbd_image_t image, RbdLockers& found);

} // namespace vnvram
