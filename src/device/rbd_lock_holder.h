// Who had an RBD image's exclusive lock when it was asked for.
#pragma once

#include <mutex>
#include <string>
#include <utility>

namespace vnvram {

/// Threads: any. Whoever asks for the lock may not come back.
class RbdLockHolder {
public:
  void set(std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

private:
  mutable std::mutex mutex_;
  std::string text_ = "a client"; ///< Guarded.
};

} // namespace vnvram
