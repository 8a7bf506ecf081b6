// What has failed about an image with nobody there to be told.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "base/operator_text.h"
#include "client/blob_client.h"
#include "service/log.h"

namespace vnvram {

/// Logs it and remembers it: between the owner of the image, who tells it, and whoever asks how the
/// TPM stands. Any thread.
class ImageTrouble {
public:
  /// Watches the client's image for as long as it exists. Both outlive it.
  ImageTrouble(BlobClient& client, const Log& log) : client_(client), log_(log) {
    client_.watch_failures([this](const Error& error) { note(operator_text(error)); });
  }
  ImageTrouble(const ImageTrouble&) = delete;
  ImageTrouble& operator=(const ImageTrouble&) = delete;
  ~ImageTrouble() { client_.watch_failures({}); }

  /// Empty: none.
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  /// Another image comes.
  void forget() {
    const std::lock_guard lock(mutex_);
    text_.clear();
  }

private:
  void note(std::string text) {
    log_.error(text);
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }

  BlobClient& client_;
  const Log& log_;
  mutable std::mutex mutex_;
  std::string text_;
};

} // namespace vnvram
