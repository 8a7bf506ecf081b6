// Where a socket is: "unix:PATH" or "tcp:HOST:PORT".
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

struct SocketAddress {
  enum class Kind { unix_path, tcp };
  Kind kind = Kind::unix_path;
  std::string path;       ///< unix_path
  std::string host;       ///< tcp: an IPv4 or IPv6 address, without brackets.
  std::uint16_t port = 0; ///< tcp

  /// As the user writes it.
  [[nodiscard]] std::string text() const;
};

/// HOST may be "localhost", an IPv4 address, an IPv6 address in brackets, or left out ("tcp:2321"),
/// which is the loopback address. Names are not looked up. Errors: invalid_argument.
Result<SocketAddress> parse_socket_address(const std::string& text);

/// Where clients of tpm2-tools expect the control socket beside a command socket: PATH.ctrl, PORT
/// + 1.
Result<SocketAddress> control_address_beside(const SocketAddress& address);

} // namespace vnvram
