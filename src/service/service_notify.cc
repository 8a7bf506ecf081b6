#include "service/service_notify.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <system_error>

namespace vnvram {

ServiceNotify::ServiceNotify() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours changes the environment.
  const char* name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr) {
    return;
  }
  const std::string path = name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_known = path.starts_with('/') || path.starts_with('@');
  if (!is_known || path.size() >= sizeof(address.sun_path)) {
    trouble_ = "NOTIFY_SOCKET is no address of a socket: " + path;
    return;
  }
  path.copy(address.sun_path, path.size());
  if (path.starts_with('@')) {
    address.sun_path[0] = '\0'; // An abstract name: its length counts, and no NUL ends it.
  }
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path.size();
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.valid() && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                                  static_cast<socklen_t>(size)) == 0) {
    socket_ = std::move(socket);
  } else {
    trouble_ = "NOTIFY_SOCKET " + path + ": " + std::system_category().message(errno);
  }
}

void ServiceNotify::send(std::string_view assignments) const {
  if (socket_.valid()) {
    // A service manager that went away is no reason to stop serving.
    ::send(socket_.get(), assignments.data(), assignments.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

Result<PidFile> PidFile::write(const std::string& path) {
  const std::string text = std::to_string(::getpid()) + "\n";
  const UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file.valid() ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return Error(ErrorKind::io, "pid file " + path + ": " + std::system_category().message(errno));
  }
  return PidFile(path);
}

PidFile::~PidFile() {
  if (!path_.empty()) {
    ::unlink(path_.c_str());
  }
}

} // namespace vnvram
