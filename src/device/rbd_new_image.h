// An RBD image that is being made, and is gone again if nothing comes of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

class RbdCluster;

class RbdNewImage {
public:
  /// Empty, with Ceph's exclusive lock among its features. Errors: exists, invalid_argument,
  /// absent (the pool), no_space, unsupported, io.
  static Result<RbdNewImage> make(const std::string& location, std::uint64_t size_bytes,
                                  std::chrono::milliseconds timeout);
  RbdNewImage(RbdNewImage&&) noexcept;
  RbdNewImage& operator=(RbdNewImage&&) = delete;
  /// Removes it, unless it is to stay. Nobody has it open any more.
  ~RbdNewImage();

  void stay();

private:
  explicit RbdNewImage(std::unique_ptr<RbdCluster> cluster);
  std::unique_ptr<RbdCluster> cluster_; ///< None: it stays.
};

} // namespace vnvram
