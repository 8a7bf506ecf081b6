// Who is connected to the owner.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <poll.h>

namespace vnvram {

/// A session, and who is at its other end.
struct Peer {
  std::uint64_t session = 0; ///< From 1.
  int socket = -1;
  pid_t pid = 0;
  uid_t uid = 0;
  std::string device; ///< What it is to the machine, if whoever started it has said so.
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
  /// Its other end has hung up: it ends when it has done what it was asked for. Who only says no
  /// more, and takes no answers, may stay for as long as it likes.
  [[nodiscard]] bool is_ending(std::uint64_t session) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(peers_.begin(), peers_.end(), [session](const Peer& peer) {
      return peer.session == session;
    });
    if (found == peers_.end()) {
      return true;
    }
    pollfd entry{.fd = found->socket, .events = 0, .revents = 0};
    return ::poll(&entry, 1, 0) > 0; // POLLHUP
  }
  /// It was admitted for a device of the machine; else it came by itself.
  [[nodiscard]] bool is_devices(std::uint64_t session) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(peers_.begin(), peers_.end(), [session](const Peer& peer) {
      return peer.session == session && !peer.device.empty();
    });
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
