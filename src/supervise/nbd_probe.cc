#include "supervise/nbd_probe.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace vnvram {
namespace {

// The client's flags (fixed newstyle), "IHAVEOPT", NBD_OPT_ABORT, and no data.
constexpr std::array<unsigned char, 20> goodbye = {0,   0,   0, 1, 'I', 'H', 'A', 'V', 'E', 'O',
                                                   'P', 'T', 0, 0, 0,   2,   0,   0,   0,   0};

UniqueFd connect_to(int listening_socket, const std::string& path) {
  sockaddr_storage address{};
  socklen_t size_bytes = sizeof(address);
  if (path.empty()) {
    if (::getsockname(listening_socket, reinterpret_cast<sockaddr*>(&address), &size_bytes) != 0) {
      return {};
    }
  } else {
    sockaddr_un named{};
    named.sun_family = AF_UNIX;
    path.copy(named.sun_path, sizeof(named.sun_path) - 1); // Longer ones cannot be bound.
    std::memcpy(&address, &named, sizeof(named));
    size_bytes = sizeof(named);
  }
  UniqueFd client(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool connects =
      ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), size_bytes) == 0 ||
      errno == EINPROGRESS;
  return connects ? std::move(client) : UniqueFd();
}

} // namespace

NbdProbe::NbdProbe(int listening_socket, const std::string& path)
    : socket_(connect_to(listening_socket, path)) {}

bool NbdProbe::go_on() {
  std::array<std::byte, 512> bytes{};
  const ssize_t taken = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (taken > 0 && !was_greeted_) {
    was_greeted_ = true;
    return ::send(socket_.get(), goodbye.data(), goodbye.size(), MSG_NOSIGNAL) < 0;
  }
  return taken == 0 || (taken < 0 && errno != EAGAIN && errno != EINTR);
}

} // namespace vnvram
