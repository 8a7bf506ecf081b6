#include "nbdkit/claims.h"

namespace vnvram::nbdkit {

Status Claims::tell() const {
  std::vector<std::string> blobs;
  for (const auto& [blob, count] : connections_) {
    blobs.push_back(blob);
  }
  return client_.claim(blobs);
}

Status Claims::begin(const std::string& blob) {
  const std::lock_guard lock(mutex_);
  if (++connections_[blob] > 1) {
    return {};
  }
  Status told = tell();
  if (!told) {
    connections_.erase(blob);
  }
  return told;
}

Status Claims::end(const std::string& blob) {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(blob);
  if (--found->second > 0) {
    return {};
  }
  connections_.erase(found);
  return tell();
}

} // namespace vnvram::nbdkit
