// The blobs that a device uses through a session.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vnvram {

/// What was claimed last, if something was. Threads: any.
class ClaimedBlobs {
public:
  [[nodiscard]] std::optional<std::vector<std::string>> get() const {
    const std::lock_guard lock(mutex_);
    return blobs_;
  }
  void set(std::vector<std::string> blobs) {
    const std::lock_guard lock(mutex_);
    blobs_ = std::move(blobs);
  }

private:
  mutable std::mutex mutex_;
  std::optional<std::vector<std::string>> blobs_;
};

} // namespace vnvram
