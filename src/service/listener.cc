#include "service/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/folder.h"
#include "base/random_bytes.h"

namespace vnvram {
namespace {

constexpr int backlog = 16;

Error system_error(const SocketAddress& address, const char* what) {
  const int number = errno;
  const ErrorKind kind = number == EADDRINUSE ? ErrorKind::in_use : ErrorKind::io;
  return {kind, address.text() + ": " + what + ": " + std::system_category().message(number)};
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

template <typename Address> const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Removes a socket file that nobody listens on.
Status clear_stale(const SocketAddress& address) {
  struct stat status {};
  if (::lstat(address.path.c_str(), &status) != 0) {
    return errno == ENOENT ? Status() : Status(system_error(address, "cannot look at it"));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error(ErrorKind::exists, address.text() + ": there is a file that is no socket",
                 "name another path, or remove the file");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) {
    return system_error(address, "cannot make a socket");
  }
  const sockaddr_un target = unix_address(address.path);
  if (::connect(probe.get(), generic(target), sizeof(target)) == 0 || errno != ECONNREFUSED) {
    return Error(ErrorKind::in_use, address.text() + ": another process listens there",
                 "stop that process, or name another path");
  }
  if (::unlink(address.path.c_str()) != 0 && errno != ENOENT) {
    return system_error(address, "cannot remove the stale socket");
  }
  return {};
}

// Until it listens, a socket has a name that ends as its own does: profiles of AppArmor go by that.
constexpr std::string_view begun_beginning = ".new-";
constexpr std::size_t begun_letters = 6;

std::string begun_path(const std::string& path, const std::string& letters) {
  const std::filesystem::path whole = path;
  const std::string name = std::string(begun_beginning) + letters + "-" + whole.filename().string();
  return (whole.parent_path() / name).string();
}

// What somebody left who was killed just then. One that begins at this moment loses its name to us.
void remove_begun(const std::string& path) {
  const std::string ending = "-" + std::filesystem::path(path).filename().string();
  const std::optional<Folder> folder = Folder::open_for(path);
  for (const std::string& name : folder ? folder->names() : std::vector<std::string>()) {
    struct stat status {};
    if (name.starts_with(begun_beginning) && name.ends_with(ending) &&
        name.size() == begun_beginning.size() + begun_letters + ending.size() &&
        folder->look_at(name, status) && S_ISSOCK(status.st_mode)) {
      (void)::unlinkat(folder->fd(), name.c_str(), 0);
    }
  }
}

// Never over one that is there by now.
bool give_name(const std::string& begun, const std::string& path) {
  if (::renameat2(AT_FDCWD, begun.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
    return true;
  }
  return (errno == EINVAL || errno == ENOSYS) && ::link(begun.c_str(), path.c_str()) == 0 &&
         ::unlink(begun.c_str()) == 0;
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
  if (Status clear = clear_stale(address); !clear.ok()) {
    return clear.error();
  }
  remove_begun(address.path);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const Result<std::string> letters = random_letters(begun_letters);
  if (!fd.valid() || !letters.ok()) {
    return fd.valid() ? letters.error() : system_error(address, "cannot make a socket");
  }
  Listener listener(std::move(fd), address);
  // Where the longer name is too long, or not allowed, the file is there a moment too early.
  Status begun = listener.bind_unix(begun_path(address.path, *letters));
  begun = begun.ok() ? begun : listener.bind_unix(address.path);
  begun = begun.ok() ? listener.set_access(access, address) : begun;
  if (begun.ok() && ::listen(listener.fd(), backlog) != 0) {
    begun = system_error(address, "cannot listen");
  }
  begun = begun.ok() ? listener.take_name(address) : begun;
  return begun.ok() ? Result<Listener>(std::move(listener)) : begun.error();
}

Status Listener::bind_unix(const std::string& path) {
  SocketAddress address = address_;
  address.path = path;
  const sockaddr_un target = unix_address(path);
  struct stat status {};
  if (path.size() >= sizeof(target.sun_path)) {
    return Error(ErrorKind::invalid_argument, address.text() + ": the path is too long");
  }
  if (::bind(fd(), generic(target), sizeof(target)) != 0) {
    return system_error(address, "cannot bind");
  }
  if (::lstat(path.c_str(), &status) != 0) {
    return system_error(address, "cannot look at it");
  }
  address_ = std::move(address);
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return {};
}

// Nobody can connect before listen(), so access is right from the first moment.
Status Listener::set_access(const SocketAccess& access, const SocketAddress& address) const {
  constexpr auto unchanged = static_cast<uid_t>(-1);
  const char* path = address_.path.c_str();
  if ((access.user || access.group) &&
      ::chown(path, access.user.value_or(unchanged), access.group.value_or(unchanged)) != 0) {
    return system_error(address, "cannot set its owner and group");
  }
  return ::chmod(path, access.mode) == 0 ? Status() : system_error(address, "cannot set its mode");
}

Status Listener::take_name(const SocketAddress& address) {
  if (address_.path != address.path && !give_name(address_.path, address.path)) {
    // Either way somebody else begins to listen there just now.
    errno = errno == EEXIST || errno == ENOENT ? EADDRINUSE : errno;
    return system_error(address, "cannot take its name");
  }
  address_ = address;
  return {};
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
