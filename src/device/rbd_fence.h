// Other clients of an RBD image, shut out by the cluster.
#pragma once

#include <chrono>
#include <memory>

#include "vnvram/result.h"

namespace vnvram {

class RbdHandle;

/// Whoever may write to the image: who holds its lock, and where it has no lock who watches it, as
/// all do who have it open for writing. Not this client. When it returns the cluster's blocklist is
/// in force for all of the image: no OSD that keeps a part of it does anything more for them, also
/// of what they had on its way. For as long as RbdCluster::fence_itself() says. `by_lock`: whether
/// the image has Ceph's exclusive lock. Error: io, also when the cluster takes too long.
Status shut_out_other_clients(const std::shared_ptr<RbdHandle>& handle, bool by_lock);

} // namespace vnvram
