// Ceph's exclusive lock of an image.
#pragma once

#include <chrono>

#include "device/rbd_handle.h"
#include "device/rbd_lock_holder.h"

namespace vnvram {

/// For good: not given to who asks for it. The lock of a dead owner, who is in `holder` then, is
/// waited for, one that was taken by hand is not. Like all of these it may wait without end: it is
/// for call_in_time(). Errors: in_use, with who has it; io, then it may be locked all the same.
Status take_rbd_lock(const RbdHandle& image, RbdLockHolder& holder);

/// Error: io.
Status give_rbd_lock_up(const RbdHandle& image);

/// Whether it is ours, by the cluster's word. librbd takes a lock that it has lost again by itself,
/// which is waited for for as long as `patience`. Errors: in_use (it is not ours any more), io.
Status check_rbd_lock(const RbdHandle& image, std::chrono::milliseconds patience);

} // namespace vnvram
