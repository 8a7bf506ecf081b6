// How a unix socket gets its name.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/folder.h"
#include "service/socket_address.h"
#include "vnvram/result.h"

namespace vnvram {

/// Who may connect to a unix socket.
struct SocketAccess {
  mode_t mode = 0660;
  std::optional<gid_t> group = {};
  std::optional<uid_t> user = {};
};

/// The name that a socket is to have, in a folder that others may write to. Everything is done in
/// the folder that was there at open(), and nothing follows a link. A socket is bound beside its
/// name and gets it by take(), when it listens. Where a profile allows no file beside it, it has
/// its name from bind() on, and who connects in the moment until it listens is refused.
///
/// Who may rename what is in that folder can give the access that is meant for this socket to
/// another one of the same user, and to nothing else.
class SocketName {
public:
  /// Errors: invalid_argument (no socket can have it), io.
  static Result<SocketName> open(const SocketAddress& address);
  SocketName(SocketName&& other) noexcept;
  SocketName& operator=(SocketName&&) = delete;
  SocketName(const SocketName&) = delete;
  SocketName& operator=(const SocketName&) = delete;
  /// Removes what was bound and has not taken its name.
  ~SocketName();

  /// Removes what dead processes left: by this name, and beside any, after some minutes. Errors:
  /// in_use (somebody answers there, or begins to), exists (something that is no socket), io.
  [[nodiscard]] Status clear() const;
  /// Where the folder has a default access list, /proc is needed for the socket's mode. Errors:
  /// in_use (somebody else has taken it away), io.
  Status bind(int socket, const SocketAccess& access);

  struct File {
    dev_t device;
    ino_t inode;
  };
  /// Never over one that is there by now. What has the name then is the socket that was bound.
  /// Errors: in_use, io.
  Result<File> take();

private:
  SocketName(Folder folder, const SocketAddress& address, std::string name)
      : folder_(std::move(folder)), address_(address), name_(std::move(name)) {}
  [[nodiscard]] Status remove_stale() const;
  void remove_left() const;
  [[nodiscard]] Status set_access(const SocketAccess& access);
  [[nodiscard]] bool has(const std::string& name, const struct stat& file) const;
  [[nodiscard]] bool give(const std::string& begun) const;
  [[nodiscard]] Error system_error(const char* what, int number) const;
  [[nodiscard]] Error taken() const;

  Folder folder_;
  SocketAddress address_;
  std::string name_;
  std::string begun_; ///< What it is bound by; empty: nothing.
  struct stat file_ {};
};

} // namespace vnvram
