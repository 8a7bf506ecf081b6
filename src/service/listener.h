// A listening socket.
#pragma once

#include <sys/types.h>

#include "base/unique_fd.h"
#include "service/socket_address.h"
#include "service/socket_name.h"
#include "vnvram/result.h"

namespace vnvram {

/// Owns the socket and, for a unix socket, its name in the file system, which goes with it.
class Listener {
public:
  /// A unix socket has its name when it listens: who finds the file is not refused, but for where
  /// SocketName says otherwise. A socket file that a dead process left behind is replaced; of a
  /// socket that is there already (fd:) the access is not changed. Errors: in_use (somebody answers
  /// there, or takes the name just now), exists (something that is no socket), invalid_argument (a
  /// name that no socket can have; fd: no socket that listens), io.
  static Result<Listener> open(const SocketAddress& address, const SocketAccess& access);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const SocketAddress& address() const { return address_; }
  /// Somebody else removes its name from now on.
  void leave_name() { inode_ = 0; }

  struct Accepted {
    UniqueFd client;
    int failure = 0; ///< Of the system's: why a client that may wait could not be taken.
  };
  /// The next client that waits, if there is one. Never blocks.
  [[nodiscard]] Accepted accept() const;

private:
  Listener(UniqueFd fd, SocketAddress address) : fd_(std::move(fd)), address_(std::move(address)) {}
  static Result<Listener> open_unix(const SocketAddress& address, const SocketAccess& access);
  static Result<Listener> open_tcp(const SocketAddress& address);
  static Result<Listener> adopt(const SocketAddress& address);

  UniqueFd fd_;
  SocketAddress address_;
  dev_t device_ = 0; ///< Which file is ours: what someone else puts in its place is not removed.
  ino_t inode_ = 0;
};

} // namespace vnvram
