#include "device/rbd_handle.h"

namespace vnvram {

RbdHandle::~RbdHandle() {
  if (!cluster_->is_in_its_process()) {
    return;
  }
  if (has_open_question_ && !cluster_->fence_itself()) {
    static_cast<void>(cluster_.release()); // Its connections keep the lock. See above.
    return;
  }
  library().rbd_close(image_);
}

} // namespace vnvram
