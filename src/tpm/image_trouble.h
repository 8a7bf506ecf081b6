// What has failed about an image with nobody there to be told.
#pragma once

#include <mutex>
#include <string>
#include <utility>

namespace vnvram {

/// Between the store's threads, which note it, and whoever asks how the TPM stands. Any thread.
class ImageTrouble {
public:
  void note(std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  /// Empty: none.
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

private:
  mutable std::mutex mutex_;
  std::string text_;
};

} // namespace vnvram
