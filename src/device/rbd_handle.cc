#include "device/rbd_handle.h"

#include <cerrno>
#include <new>

#include <fmt/core.h>

#include "device/left_behind.h"

namespace vnvram {

Result<std::shared_ptr<RbdHandle>> RbdHandle::open(std::shared_ptr<RbdCluster> cluster,
                                                   Access access) {
  const RbdLocation& location = cluster->location();
  const auto open_by = access == Access::read_write ? cluster->library().rbd_open
                                                    : cluster->library().rbd_open_read_only;
  rbd_image_t image = nullptr;
  const int opened = open_by(cluster->pool(), location.image.c_str(), &image,
                             location.snapshot.empty() ? nullptr : location.snapshot.c_str());
  if (opened == -ENOENT) {
    return Error(
        ErrorKind::absent,
        fmt::format("{}: there is no image {}", cluster->name(), location.spec()),
        "`rbd ls POOL` names those that there are, `rbd snap ls` their snapshots; `create` "
        "makes an image");
  }
  if (opened < 0) {
    return cluster->error("open the image " + location.spec(), opened);
  }
  return std::shared_ptr<RbdHandle>(new RbdHandle(std::move(cluster), image));
}

RbdHandle::~RbdHandle() {
  if (!cluster_->is_in_its_process()) {
    return;
  }
  if (has_open_question_ && !is_fenced_ && !fence_itself()) {
    leave_behind();
    // Its connections keep the lock: see the header.
    // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): nobody owns it any more.
    static_cast<void>(new (std::nothrow) std::shared_ptr<RbdCluster>(std::move(cluster_)));
    return;
  }
  library().rbd_close(image_);
}

Result<RbdProperties> RbdHandle::properties() const {
  std::uint64_t features = 0;
  RbdProperties found;
  int result = library().rbd_get_features(image_, &features);
  if (result >= 0) {
    result = library().rbd_get_size(image_, &found.size_bytes);
  }
  found.has_lock = (features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0;
  return result < 0 ? Result<RbdProperties>(cluster().error("find out about it", result)) : found;
}

Status RbdHandle::fence_itself() {
  Status done = cluster_->fence_itself();
  is_fenced_ = is_fenced_ || done.ok();
  return done;
}

} // namespace vnvram
