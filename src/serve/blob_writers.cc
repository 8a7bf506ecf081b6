#include "serve/blob_writers.h"

#include <algorithm>

namespace vnvram {

std::optional<BlobWriters::Holder> BlobWriters::take(const std::vector<std::string>& blobs,
                                                     std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  return take_locked(blobs, session);
}

std::optional<BlobWriters::Holder> BlobWriters::take_only(const std::vector<std::string>& blobs,
                                                          std::uint64_t session) {
  {
    const std::lock_guard lock(mutex_);
    if (auto other = take_locked(blobs, session)) {
      return other;
    }
    std::erase_if(sessions_, [&](const auto& entry) {
      return entry.second == session &&
             std::find(blobs.begin(), blobs.end(), entry.first) == blobs.end();
    });
  }
  given_up_.tell();
  return std::nullopt;
}

std::optional<BlobWriters::Holder> BlobWriters::take_locked(const std::vector<std::string>& blobs,
                                                            std::uint64_t session) {
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
