// librbd's handle of an open image, and its end.
#pragma once

#include <atomic>
#include <memory>

#include "device/rbd_cluster.h"

namespace vnvram {

/// Shared with calls that have not returned: the last of them to come back closes it.
class RbdHandle {
public:
  RbdHandle(std::unique_ptr<RbdCluster> cluster, rbd_image_t image)
      : cluster_(std::move(cluster)), image_(image) {}
  RbdHandle(const RbdHandle&) = delete;
  RbdHandle& operator=(const RbdHandle&) = delete;
  /// Closes it, which waits for what is under way and gives its lock up: without end, where the
  /// cluster does not answer. In another process it does nothing.
  ~RbdHandle();

  [[nodiscard]] RbdCluster& cluster() const { return *cluster_; }
  [[nodiscard]] const RbdLibrary& library() const { return cluster_->library(); }
  [[nodiscard]] rbd_image_t image() const { return image_; }

  /// A write may still be done, or not. So before its lock is free for the next owner the cluster
  /// is asked to shut this client out. If that fails the image stays open, and the lock held, until
  /// the process ends: then the cluster or the next owner does it.
  void has_open_question() { has_open_question_ = true; }

private:
  std::unique_ptr<RbdCluster> cluster_;
  const rbd_image_t image_;
  std::atomic<bool> has_open_question_ = false;
};

} // namespace vnvram
