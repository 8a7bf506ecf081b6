#include "service/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace vnvram {
namespace {

constexpr int backlog = 16;

Error system_error(const SocketAddress& address, const char* what) {
  const int number = errno;
  const ErrorKind kind = number == EADDRINUSE ? ErrorKind::in_use : ErrorKind::io;
  return {kind, address.text() + ": " + what + ": " + std::system_category().message(number)};
}

template <typename Address> const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

} // namespace

Result<Listener> Listener::open(const SocketAddress& address, const SocketAccess& access) {
  switch (address.kind) {
  case SocketAddress::Kind::unix_path: return open_unix(address, access);
  case SocketAddress::Kind::tcp: return open_tcp(address);
  case SocketAddress::Kind::descriptor: break;
  }
  return adopt(address);
}

Result<Listener> Listener::adopt(const SocketAddress& address) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  if (::getsockopt(address.descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 ||
      listens == 0) {
    return Error(ErrorKind::invalid_argument, address.text() + ": not a socket that listens",
                 "it is for who starts this program to open it");
  }
  UniqueFd fd(::fcntl(address.descriptor, F_DUPFD_CLOEXEC, 3));
  if (!fd.valid() || ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) {
    return system_error(address, "cannot take it over");
  }
  SocketAddress adopted = address;
  int domain = AF_UNIX;
  size = sizeof(domain);
  (void)::getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  if (domain != AF_UNIX) {
    adopted.kind =
        SocketAddress::Kind::tcp; // What the clients of a network may not do, they may not.
  }
  return Listener(std::move(fd), adopted);
}

Result<Listener> Listener::open_unix(const SocketAddress& address, const SocketAccess& access) {
  Result<SocketName> name = SocketName::open(address);
  if (!name) {
    return name.error();
  }
  Listener listener(UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                    address);
  if (listener.fd() < 0) {
    return system_error(address, "cannot make a socket");
  }
  Status begun = name->clear();
  begun = begun.ok() ? name->bind(listener.fd(), access) : begun;
  if (begun.ok() && ::listen(listener.fd(), backlog) != 0) {
    begun = system_error(address, "cannot listen");
  }
  const Result<SocketName::File> file =
      begun.ok() ? name->take() : Result<SocketName::File>(begun.error());
  if (!file) {
    return file.error();
  }
  listener.device_ = file->device;
  listener.inode_ = file->inode;
  return listener;
}

Result<Listener> Listener::open_tcp(const SocketAddress& address) {
  sockaddr_in ipv4{};
  sockaddr_in6 ipv6{};
  const bool is_ipv4 = ::inet_pton(AF_INET, address.host.c_str(), &ipv4.sin_addr) == 1;
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(address.port);
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(address.port);
  if (!is_ipv4 && ::inet_pton(AF_INET6, address.host.c_str(), &ipv6.sin6_addr) != 1) {
    return Error(ErrorKind::invalid_argument, address.text() + ": not an IP address");
  }
  if (!address.interface_name.empty()) {
    ipv6.sin6_scope_id = ::if_nametoindex(address.interface_name.c_str());
    if (ipv6.sin6_scope_id == 0) {
      return system_error(address, ("interface " + address.interface_name).c_str());
    }
  }
  UniqueFd fd(
      ::socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    return system_error(address, "cannot make a socket");
  }
  // Connections of an earlier process that still linger do not keep the port.
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  const int bound = is_ipv4 ? ::bind(fd.get(), generic(ipv4), sizeof(ipv4))
                            : ::bind(fd.get(), generic(ipv6), sizeof(ipv6));
  if (bound != 0) {
    return system_error(address, "cannot bind");
  }
  if (::listen(fd.get(), backlog) != 0) {
    return system_error(address, "cannot listen");
  }
  return Listener(std::move(fd), address);
}

Listener::Listener(Listener&& other) noexcept
    : fd_(std::move(other.fd_)), address_(std::move(other.address_)), device_(other.device_),
      inode_(std::exchange(other.inode_, 0)) {}

Listener::~Listener() {
  struct stat status {};
  if (inode_ != 0 && ::lstat(address_.path.c_str(), &status) == 0 && status.st_dev == device_ &&
      status.st_ino == inode_) {
    ::unlink(address_.path.c_str());
  }
}

Listener::Accepted Listener::accept() const {
  UniqueFd client(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) {
    // One that has given up, or that another look would find, is no failure.
    const bool is_over = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ||
                         errno == EPROTO || errno == EPERM;
    return {UniqueFd(), is_over ? 0 : errno};
  }
  if (address_.kind == SocketAddress::Kind::tcp) {
    const int yes = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }
  return {std::move(client), 0};
}

} // namespace vnvram
