#include "rpc/socket_connection.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <system_error>

#include <fmt/core.h>

namespace vnvram {

Result<UniqueFd> connect_to_socket(const std::string& path, const std::string& remedy) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Error(ErrorKind::invalid_argument, fmt::format("{}: not the path of a socket", path));
  }
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    const bool absent = error == ENOENT || error == ECONNREFUSED;
    return Error(absent ? ErrorKind::absent : ErrorKind::io,
                 fmt::format("{}: cannot connect: {}", path, std::system_category().message(error)),
                 absent ? remedy : "");
  }
  return fd;
}

} // namespace vnvram
