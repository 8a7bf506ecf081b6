// librbd's handle of an open image, and its end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "device/rbd_cluster.h"
#include "vnvram/open_device.h"

namespace vnvram {

/// What may be changed by whoever may use the cluster, while it is open.
struct RbdProperties {
  bool has_lock = false; ///< Ceph's exclusive lock is one of its features.
  std::uint64_t size_bytes = 0;
};

/// Shared with calls that have not returned: the last of them to come back closes it. All but the
/// accessors may wait without end where the cluster does not answer: they are for call_in_time().
class RbdHandle {
public:
  /// Errors: absent, io.
  static Result<std::shared_ptr<RbdHandle>> open(std::shared_ptr<RbdCluster> cluster,
                                                 Access access);
  RbdHandle(const RbdHandle&) = delete;
  RbdHandle& operator=(const RbdHandle&) = delete;
  /// Closes it, which waits for what is under way and gives its lock up. In another process it does
  /// nothing.
  ~RbdHandle();

  [[nodiscard]] RbdCluster& cluster() const { return *cluster_; }
  [[nodiscard]] const RbdLibrary& library() const { return cluster_->library(); }
  [[nodiscard]] rbd_image_t image() const { return image_; }

  /// As librbd has heard of them: usually no round trip.
  [[nodiscard]] Result<RbdProperties> properties() const;

  /// A write may still be done, or not: so the cluster is to shut this client out, before anything
  /// of its can land when the lock is somebody else's. True: nobody has said so before, and it is
  /// to be asked for now.
  bool leave_open_question() { return !has_open_question_.exchange(true); }
  /// Asks for that. Where it fails it is asked for again before the image is closed. If it fails
  /// then, too, the image stays open, and the lock held, until the process ends: then the cluster
  /// or the next owner does it.
  Status fence_itself();

private:
  RbdHandle(std::shared_ptr<RbdCluster> cluster, rbd_image_t image)
      : cluster_(std::move(cluster)), image_(image) {}

  std::shared_ptr<RbdCluster> cluster_;
  const rbd_image_t image_;
  std::atomic<bool> has_open_question_ = false;
  std::atomic<bool> is_fenced_ = false;
};

} // namespace vnvram
