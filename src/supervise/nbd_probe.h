// Whether an NBD server is there.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace vnvram {

/// A client that waits for the server's greeting, says that it wants nothing, and goes (NBD
/// protocol, "Baseline", NBD_OPT_ABORT). What it reads it does not look at.
class NbdProbe {
public:
  /// Of whoever takes clients there: by the path, or by the socket's own name if that is empty. Not
  /// valid if there is no way to be one.
  NbdProbe(int listening_socket, const std::string& path);

  [[nodiscard]] bool valid() const { return socket_.valid(); }
  /// Readable when go_on() has something to do.
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Returns whether there is nothing left to be done. Never waits.
  [[nodiscard]] bool go_on();
  /// The server has greeted.
  [[nodiscard]] bool was_greeted() const { return was_greeted_; }

private:
  UniqueFd socket_;
  bool was_greeted_ = false;
};

} // namespace vnvram
