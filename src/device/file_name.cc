#include "device/file_name.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/barrier.h"
#include "base/unique_fd.h"
#include "device/hidden_writes.h"

namespace vnvram {
namespace {

// No time is asked for: see FileDevice::check_there().
constexpr unsigned int wanted = STATX_TYPE | STATX_INO | STATX_NLINK;

/// What a cache knows of it: on a network file system a look must not be a round trip.
bool look_up(const std::string& path, struct statx& status) {
  return ::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, wanted, &status) == 0;
}

/// By a link of the kernel's own, as those in /proc/self/fd are.
bool leads_by_a_magic_link(const std::string& path) {
  struct open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  const UniqueFd fd(
      static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  return !fd.valid() && errno == ELOOP;
}

} // namespace

FileName::FileName(int fd, std::string path) : given_(std::move(path)) {
  struct statx opened = {};
  struct statx named = {};
  if (::statx(fd, "", AT_EMPTY_PATH, wanted, &opened) != 0 || opened.stx_nlink == 0) {
    return; // It never had a name.
  }
  has_links_ = true;
  device_major_ = opened.stx_dev_major;
  device_minor_ = opened.stx_dev_minor;
  inode_ = opened.stx_ino;
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(given_, error).string();
  if (!error && inodes_last(fd) && !leads_by_a_magic_link(absolute) && look_up(absolute, named) &&
      named.stx_ino == inode_ && named.stx_dev_major == device_major_ &&
      named.stx_dev_minor == device_minor_) {
    path_ = absolute;
  }
}

std::string FileName::where_it_is(int fd) const {
  return fmt::format("what it holds can be copied from /proc/{}/fd/{} as long as this process runs",
                     ::getpid(), fd);
}

Status FileName::check_links(std::uint32_t link_count, int fd) const {
  if (!kept(Barrier::file_named) || !has_links_ || link_count > 0) {
    return {};
  }
  return Error(ErrorKind::stale, fmt::format("{}: was removed while it was open", given_),
               where_it_is(fd));
}

Status FileName::check_name(int fd) const {
  struct statx named = {};
  if (!kept(Barrier::file_named) || path_.empty() || !look_up(path_, named) ||
      (named.stx_ino == inode_ && named.stx_dev_major == device_major_ &&
       named.stx_dev_minor == device_minor_)) {
    return {};
  }
  return Error(ErrorKind::stale,
               fmt::format("{}: another file was put in its place while it was open", given_),
               where_it_is(fd));
}

Status FileName::check(int fd) const {
  struct statx status = {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, &status) == 0) {
    const Status linked = check_links(status.stx_nlink, fd);
    if (!linked) {
      return linked;
    }
  }
  return check_name(fd);
}

Status FileName::check_not_moved() const {
  struct statx named = {};
  if (path_.empty() || look_up(path_, named) || (errno != ENOENT && errno != ENOTDIR)) {
    return {};
  }
  return Error(ErrorKind::absent, fmt::format("{}: was moved while it was open", given_),
               "what is written to it goes on to where it is now; give it its name back before it "
               "is opened again");
}

} // namespace vnvram
