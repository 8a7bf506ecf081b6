// An RBD image that is being made, and is gone again if nothing comes of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

class RbdCluster;

/// It has a name of its own, which nobody else knows, until it takes the one that it is to have: as
/// a new file does. So nobody can have put anything into what is removed here, and nobody finds one
/// that is not complete.
class RbdNewImage {
public:
  /// Empty, with Ceph's exclusive lock among its features. `note` is told what others have left
  /// behind who were killed while they made one of that name: whether they were nobody can tell,
  /// so it stays. Errors: invalid_argument, absent (the
  /// pool), read_only (a snapshot), no_space, unsupported, io.
  static Result<RbdNewImage> make(const std::string& location, std::uint64_t size_bytes,
                                  std::chrono::milliseconds timeout,
                                  const std::function<void(const std::string& text)>& note = {});
  RbdNewImage(RbdNewImage&&) noexcept;
  RbdNewImage& operator=(RbdNewImage&&) = delete;
  /// Removes it if nobody has said what is to become of it, and tells nobody if that fails.
  ~RbdNewImage();

  /// For writing. Its messages name what it is to become.
  [[nodiscard]] Result<std::unique_ptr<BlockDevice>> open() const;
  /// From here on it stays. Nobody has it open. Errors: exists (an image has the name already,
  /// which is left alone); io, after which both names may lead to it, or either.
  Status take_name();
  /// Removes it, after `why`: which is what this returns, with what is left if it cannot be
  /// removed.
  Error removed_after(const Error& why);

private:
  RbdNewImage(std::shared_ptr<RbdCluster> cluster, std::string name);
  int remove();
  std::shared_ptr<RbdCluster> cluster_; ///< None: it stays.
  std::string name_;                    ///< What it is to be called.
};

} // namespace vnvram
