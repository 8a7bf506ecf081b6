// Where a socket is: "unix:PATH", "tcp:HOST:PORT", or "fd:N" and "fd:NAME" for one that is there.
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

struct SocketAddress {
  enum class Kind { unix_path, tcp, descriptor };
  Kind kind = Kind::unix_path;
  std::string path;           ///< unix_path
  std::string host;           ///< tcp: an IPv4 or IPv6 address, without brackets.
  std::string interface_name; ///< tcp: that of a link-local IPv6 address; empty for all others.
  std::uint16_t port = 0;     ///< tcp
  int descriptor = -1;        ///< descriptor: one of this process, from who has started it.

  /// As the user writes it.
  [[nodiscard]] std::string text() const;
};

/// A NAME is that of a socket of systemd's (FileDescriptorName=, sd_listen_fds_with_names(3)). HOST
/// may be "localhost", an IPv4 address, an IPv6 address in brackets, or left out ("tcp:2321"),
/// which is the loopback address. Names are not looked up. Errors: invalid_argument.
Result<SocketAddress> parse_socket_address(const std::string& text);

/// Where clients of tpm2-tools expect the control socket beside a command socket: PATH.ctrl, PORT
/// + 1.
Result<SocketAddress> control_address_beside(const SocketAddress& address);

} // namespace vnvram
