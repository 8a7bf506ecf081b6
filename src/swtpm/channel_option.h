// Where commands and control requests come from: --ctrl, --server, --port, --fd, --chardev.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "vnvram/result.h"

namespace vnvram {

/// A unix socket that is to be made. What is there by that name is replaced.
struct UnixSocketPlace {
  std::string path;
  mode_t mode = 0770;
  std::optional<uid_t> user; ///< Who is to own it; nothing: left as it is made.
  std::optional<gid_t> group;
};

/// A TCP socket that is to be made.
struct TcpPlace {
  std::string address = "127.0.0.1"; ///< An IPv4 or IPv6 address.
  std::string interface_name;        ///< Of a link-local IPv6 address: never empty then.
  std::uint16_t port = 0;            ///< 0: any that is free.
};

/// A socket of whoever has started us, which clients connect to.
struct ListeningDescriptor {
  int descriptor = -1;
};

/// One client's connection, or a device, that whoever has started us has opened. When it ends there
/// will be no other.
struct OpenDescriptor {
  int descriptor = -1;
};

/// A character device that is to be opened.
struct CharacterDevice {
  std::string path;
};

/// A device of the kernel's that is to be made, whose other end is ours.
struct VtpmProxy {};

struct ControlChannel {
  std::variant<UnixSocketPlace, TcpPlace, ListeningDescriptor, OpenDescriptor> place;
  bool terminates = false; ///< The process ends when a client goes.
};

struct DataChannel {
  std::variant<UnixSocketPlace, TcpPlace, ListeningDescriptor, OpenDescriptor, CharacterDevice,
               VtpmProxy>
      place;
  bool disconnects = false; ///< After each answer the connection is closed.
};

/// --ctrl. Descriptors are looked at: they have to be sockets. Errors: invalid_argument.
Result<ControlChannel> parse_control_channel(std::string_view list);

/// --server. `port`: that of --port, or of the environment; for a list that has none. Errors:
/// invalid_argument.
Result<DataChannel> parse_server_channel(std::string_view list, std::optional<std::uint16_t> port);

/// --fd; `what` is what swtpm says that it cannot parse. Errors: invalid_argument (no number, not
/// open, or open to a file that is neither a socket nor a device, or one of the first three).
Result<DataChannel> parse_open_channel(std::string_view what, const std::string& text);

/// --port. Errors: invalid_argument.
Result<std::uint16_t> parse_port(const std::string& text);

} // namespace vnvram
