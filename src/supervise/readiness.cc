#include "supervise/readiness.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>

namespace vnvram {
namespace {

Error system_error() {
  return {ErrorKind::io, "cannot make a socket for the word that a process is ready: " +
                             std::system_category().message(errno)};
}

bool says_ready(std::string_view assignments) {
  return assignments.starts_with("READY=1") ||
         assignments.find("\nREADY=1") != std::string_view::npos;
}

} // namespace

Result<Readiness> Readiness::open() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t size = sizeof(address);
  // With no more than the family the kernel chooses an abstract name (unix(7), autobind).
  if (!fd.valid() || ::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return system_error();
  }
  const std::string name(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
  return Readiness(std::move(fd), "NOTIFY_SOCKET=@" + name);
}

std::optional<pid_t> Readiness::take() const {
  for (;;) {
    std::array<char, 4096> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    iovec part{.iov_base = text.data(), .iov_len = text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(fd(), &message, MSG_CMSG_CLOEXEC);
    if (size < 0) {
      return std::nullopt;
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_CREDENTIALS ||
        !says_ready({text.data(), static_cast<std::size_t>(size)})) {
      continue;
    }
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    return sender.pid;
  }
}

} // namespace vnvram
