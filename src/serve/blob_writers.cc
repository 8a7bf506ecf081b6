#include "serve/blob_writers.h"

namespace vnvram {

std::optional<BlobWriters::Holder> BlobWriters::take(const std::vector<std::string>& blobs,
                                                     std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  for (const std::string& blob : blobs) {
    if (const auto found = sessions_.find(blob);
        found != sessions_.end() && found->second != session) {
      return Holder{blob, found->second};
    }
  }
  for (const std::string& blob : blobs) {
    sessions_.emplace(blob, session);
  }
  return std::nullopt;
}

void BlobWriters::give_up(std::uint64_t session) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(sessions_, [session](const auto& entry) { return entry.second == session; });
  }
  given_up_.tell();
}

void BlobWriters::forget(std::string_view blob) {
  const std::lock_guard lock(mutex_);
  if (const auto found = sessions_.find(blob); found != sessions_.end()) {
    sessions_.erase(found);
  }
}

std::vector<std::string> BlobWriters::blobs_of(std::uint64_t session) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> blobs;
  for (const auto& [blob, writer] : sessions_) {
    if (writer == session) {
      blobs.push_back(blob);
    }
  }
  return blobs;
}

} // namespace vnvram
