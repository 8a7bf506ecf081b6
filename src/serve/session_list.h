// Who is connected to the owner.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

namespace vnvram {

/// A session, and who is at its other end.
struct Peer {
  std::uint64_t session = 0; ///< From 1.
  pid_t pid = 0;
  uid_t uid = 0;
};

/// Threads: any.
class SessionList {
public:
  void add(const Peer& peer) {
    const std::lock_guard lock(mutex_);
    peers_.push_back(peer);
  }
  void remove(std::uint64_t session) {
    const std::lock_guard lock(mutex_);
    std::erase_if(peers_, [session](const Peer& peer) { return peer.session == session; });
  }
  /// In the order in which they came.
  [[nodiscard]] std::vector<Peer> peers() const {
    const std::lock_guard lock(mutex_);
    return peers_;
  }

private:
  mutable std::mutex mutex_;
  std::vector<Peer> peers_;
};

} // namespace vnvram
