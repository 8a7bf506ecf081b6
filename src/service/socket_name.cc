#include "service/socket_name.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/random_bytes.h"
#include "base/unique_fd.h"

namespace vnvram {
namespace {

constexpr std::size_t name_length_max = sizeof(sockaddr_un::sun_path) - 1;

// What a socket is called until it listens ends as its name does: profiles of AppArmor go by that.
constexpr std::string_view begun_beginning = ".new-";
constexpr std::size_t begun_letters = 6;
constexpr std::size_t begun_length = begun_beginning.size() + begun_letters + 1;
// So old, it is nobody's who is between bind() and listen().
constexpr std::time_t left_after_seconds = 600;

Result<std::string> begun_name(const std::string& name) {
  const Result<std::string> letters = random_letters(begun_letters);
  if (!letters) {
    return letters.error();
  }
  const std::size_t kept = std::min(name.size(), name_length_max - begun_length);
  return std::string(begun_beginning) + *letters + "-" + name.substr(name.size() - kept);
}

bool is_begun_name(std::string_view name) {
  return name.starts_with(begun_beginning) && name.size() > begun_length &&
         name[begun_length - 1] == '-';
}

bool is_denied(int number) {
  return number == EACCES || number == EPERM;
}

bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// bind() and connect() know paths only. The folder is made the current one of a process that does
// nothing else: that needs no /proc, and no long path. 0, or what went wrong.
template <typename Call> int in_folder(const Folder& folder, const Call& call) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return errno;
  }
  const UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    return errno;
  }
  if (child == 0) {
    const int failure = ::fchdir(folder.fd()) == 0 && call() == 0 ? 0 : errno;
    const bool told = ::write(to_parent.get(), &failure, sizeof(failure)) == sizeof(failure);
    ::_exit(told ? 0 : 1);
  }
  to_parent.reset();
  int failure = EIO;
  ssize_t count = 0;
  do {
    count = ::read(from_child.get(), &failure, sizeof(failure));
  } while (count < 0 && errno == EINTR);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return count == sizeof(failure) ? failure : EIO;
}

// `call`: bind or connect.
template <typename Call>
int by_name(const Call& call, int socket, const Folder& folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, name_length_max);
  return in_folder(folder, [&] {
    return call(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  });
}

int bind_in(const Folder& folder, const std::string& name, int socket, mode_t mode) {
  constexpr mode_t all = 0777;
  const auto bind_with_mode = [mode](int fd, const sockaddr* address, socklen_t size) {
    ::umask(all & ~mode); // The child's.
    return ::bind(fd, address, size);
  };
  return by_name(bind_with_mode, socket, folder, name);
}

// A socket that nobody listens on.
bool is_dead(const Folder& folder, const std::string& name) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe.valid() && by_name(::connect, probe.get(), folder, name) == ECONNREFUSED;
}

} // namespace

Result<SocketName> SocketName::open(const SocketAddress& address) {
  std::string name = std::filesystem::path(address.path).filename().string();
  if (name.empty() || address.path.size() > name_length_max) {
    return Error(ErrorKind::invalid_argument,
                 address.text() + (name.empty() ? ": a folder" : ": the path is too long"),
                 "name a file, by a path of at most " + std::to_string(name_length_max) + " bytes");
  }
  std::optional<Folder> folder = Folder::enter_for(address.path);
  if (!folder) {
    return Error(ErrorKind::io, address.text() + ": cannot open its folder: " +
                                    std::system_category().message(errno));
  }
  return SocketName(*std::move(folder), address, std::move(name));
}

SocketName::SocketName(SocketName&& other) noexcept
    : folder_(std::move(other.folder_)), address_(std::move(other.address_)),
      name_(std::move(other.name_)), begun_(std::exchange(other.begun_, {})), file_(other.file_) {}

SocketName::~SocketName() {
  if (!begun_.empty() && has(begun_, file_)) {
    (void)::unlinkat(folder_.fd(), begun_.c_str(), 0);
  }
}

Status SocketName::clear() const {
  Status cleared = remove_stale();
  if (cleared.ok()) {
    remove_left();
  }
  return cleared;
}

Status SocketName::remove_stale() const {
  struct stat there {};
  if (!folder_.look_at(name_, there)) {
    return errno == ENOENT ? Status() : Status(system_error("cannot look at it", errno));
  }
  if (!S_ISSOCK(there.st_mode)) {
    return Error(ErrorKind::exists, address_.text() + ": there is a file that is no socket",
                 "name another path, or remove the file");
  }
  if (!is_dead(folder_, name_)) {
    return Error(ErrorKind::in_use, address_.text() + ": another process listens there",
                 "stop that process, or name another path");
  }
  // Somebody else may have removed it meanwhile, and listen there: it is aside that it shows.
  const Result<std::string> aside = begun_name(name_);
  if (!aside) {
    return aside.error();
  }
  const bool is_aside = ::renameat(folder_.fd(), name_.c_str(), folder_.fd(), aside->c_str()) == 0;
  if (is_aside && !has(*aside, there)) {
    (void)give(*aside);
    return taken();
  }
  if ((is_aside || is_denied(errno)) &&
      ::unlinkat(folder_.fd(), is_aside ? aside->c_str() : name_.c_str(), 0) == 0) {
    return {};
  }
  return errno == ENOENT ? Status() : system_error("cannot remove the stale socket", errno);
}

// libvirt numbers its names: those of the killed are beside names that no later one has.
void SocketName::remove_left() const {
  for (const std::string& name : folder_.names()) {
    struct stat status {};
    if (is_begun_name(name) && folder_.look_at(name, status) && S_ISSOCK(status.st_mode) &&
        status.st_uid == ::geteuid() && status.st_mtime + left_after_seconds < std::time(nullptr) &&
        is_dead(folder_, name)) {
      (void)::unlinkat(folder_.fd(), name.c_str(), 0);
    }
  }
}

Status SocketName::bind(int socket, const SocketAccess& access) {
  Result<std::string> begun = begun_name(name_);
  if (!begun) {
    return begun.error();
  }
  int failure = bind_in(folder_, *begun, socket, access.mode);
  if (is_denied(failure)) {
    *begun = name_;
    failure = bind_in(folder_, *begun, socket, access.mode);
  }
  if (failure != 0) {
    return system_error("cannot bind", failure);
  }
  begun_ = *std::move(begun);
  return set_access(access);
}

// By the file itself, whatever has its name by then. It is looked at before anything is changed:
// somebody else may have put a file there that is not theirs to have.
Status SocketName::set_access(const SocketAccess& access) {
  constexpr auto unchanged = static_cast<uid_t>(-1);
  constexpr mode_t permissions = 07777;
  const UniqueFd file = folder_.open_file(begun_, O_PATH);
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return taken();
  }
  file_ = status;
  const bool is_other_owner = access.user || access.group;
  const bool is_other_mode = (status.st_mode & permissions) != access.mode; // A default ACL's.
  if ((is_other_owner || is_other_mode) && status.st_uid != ::geteuid()) {
    return taken();
  }
  if (is_other_owner && ::fchownat(file.get(), "", access.user.value_or(unchanged),
                                   access.group.value_or(unchanged), AT_EMPTY_PATH) != 0) {
    return system_error("cannot set its owner and group", errno);
  }
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  return !is_other_mode || ::chmod(path.c_str(), access.mode) == 0
             ? Status()
             : system_error("cannot set its mode", errno);
}

Result<SocketName::File> SocketName::take() {
  if (begun_ != name_ && !give(begun_)) {
    // Either way somebody else begins to listen there just now.
    return errno == EEXIST || errno == ENOENT ? taken()
                                              : system_error("cannot take its name", errno);
  }
  begun_.clear();
  return has(name_, file_) ? Result<File>(File{file_.st_dev, file_.st_ino}) : taken();
}

bool SocketName::has(const std::string& name, const struct stat& file) const {
  struct stat there {};
  return folder_.look_at(name, there) && is_same(there, file);
}

// Never over one that is there by now.
bool SocketName::give(const std::string& begun) const {
  const int in = folder_.fd();
  if (::renameat2(in, begun.c_str(), in, name_.c_str(), RENAME_NOREPLACE) == 0) {
    return true;
  }
  return (errno == EINVAL || errno == ENOSYS) &&
         ::linkat(in, begun.c_str(), in, name_.c_str(), 0) == 0 &&
         ::unlinkat(in, begun.c_str(), 0) == 0;
}

Error SocketName::system_error(const char* what, int number) const {
  const ErrorKind kind = number == EADDRINUSE ? ErrorKind::in_use : ErrorKind::io;
  return {kind, address_.text() + ": " + what + ": " + std::system_category().message(number)};
}

Error SocketName::taken() const {
  return {ErrorKind::in_use, address_.text() + ": another process takes that name just now",
          "stop that process, or name another path"};
}

} // namespace vnvram
