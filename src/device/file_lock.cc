#include "device/file_lock.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr long used_base = 100;     // QEMU: "this permission is in use here"
constexpr long unshared_base = 200; // QEMU: "this permission is not granted to others"
constexpr long qemu_bytes_end = 300;

/// QEMU's permissions, in the order of its bytes, and what an owner does with them: it uses all but
/// the one for rewriting unchanged data, and lets others do nothing but read.
struct Permission {
  std::string_view name;
  bool used;
  bool shared;
};
constexpr std::array<Permission, 4> permissions = {{
    {"consistent read", true, true},
    {"write", true, false},
    {"write unchanged", false, false},
    {"resize", true, false},
}};

struct flock lock_range(short type, long start, long length) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

int set_lock(int fd, short type, long start, long length = 1) {
  struct flock lock = lock_range(type, start, length);
  int result = 0;
  do {
    result = ::fcntl(fd, F_OFD_SETLK, &lock);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? errno : 0;
}

/// Whether someone else holds any lock on the byte. `error` gets an errno if that cannot be told.
bool held_by_other(int fd, long byte, int& error) {
  struct flock lock = lock_range(F_WRLCK, byte, 1);
  error = ::fcntl(fd, F_OFD_GETLK, &lock) < 0 ? errno : 0;
  return error == 0 && lock.l_type != F_UNLCK;
}

Error in_use(const std::string& name, std::string_view what) {
  return {ErrorKind::in_use, fmt::format("{}: in use, {}", name, what),
          "stop the program that has it open; it can be read meanwhile"};
}

Error cannot_lock(const std::string& name, int error) {
  if (error == EAGAIN || error == EACCES) {
    return in_use(name, "another program has locked it");
  }
  return {error == EINVAL || error == EOPNOTSUPP ? ErrorKind::unsupported : ErrorKind::io,
          fmt::format("{}: cannot lock: {}", name, std::generic_category().message(error)),
          "keep the image on a file system that supports locks"};
}

Status announce(int fd, const std::string& name) {
  for (std::size_t i = 0; i < permissions.size(); ++i) {
    const auto byte = static_cast<long>(i);
    int error = permissions[i].used ? set_lock(fd, F_RDLCK, used_base + byte) : 0;
    if (error == 0 && !permissions[i].shared) {
      error = set_lock(fd, F_RDLCK, unshared_base + byte);
    }
    if (error != 0) {
      return cannot_lock(name, error);
    }
  }
  return {};
}

Status look_for_conflicts(int fd, const std::string& name) {
  for (std::size_t i = 0; i < permissions.size(); ++i) {
    const auto byte = static_cast<long>(i);
    int error = 0;
    if (permissions[i].used && held_by_other(fd, unshared_base + byte, error)) {
      return in_use(
          name, fmt::format("a program, perhaps QEMU, does not share \"{}\"", permissions[i].name));
    }
    if (error == 0 && !permissions[i].shared && held_by_other(fd, used_base + byte, error)) {
      return in_use(name, fmt::format("a program, perhaps QEMU, uses \"{}\"", permissions[i].name));
    }
    if (error != 0) {
      return cannot_lock(name, error);
    }
  }
  return {};
}

Error owned_by_other(const std::string& name) {
  return in_use(name, "another owner has it open for writing");
}

} // namespace

Status lock_file(int fd, const std::string& name) {
  if (const int error = set_lock(fd, F_WRLCK, file_lock_arbiter_byte); error != 0) {
    if (error == EAGAIN || error == EACCES) {
      return owned_by_other(name);
    }
    return cannot_lock(name, error);
  }
  Status status = announce(fd, name);
  if (status.ok()) {
    status = look_for_conflicts(fd, name);
  }
  if (!status.ok()) {
    unlock_file(fd);
  }
  return status;
}

// Shared: an owner that goes on in another process has two of them for a while.
Status lock_writer(int fd, const std::string& name) {
  const int error = set_lock(fd, F_RDLCK, file_lock_writer_byte);
  return error == 0 ? Status{} : Status(cannot_lock(name, error));
}

Status look_at_lock(int fd, const std::string& name) {
  int error = 0;
  if (held_by_other(fd, file_lock_arbiter_byte, error)) {
    return owned_by_other(name);
  }
  return error == 0 ? look_for_conflicts(fd, name) : cannot_lock(name, error);
}

void unlock_file(int fd) {
  // Nothing can be done about a failure, and closing the descriptor gives the locks up in any case.
  (void)set_lock(fd, F_UNLCK, used_base, qemu_bytes_end - used_base);
  (void)set_lock(fd, F_UNLCK, file_lock_writer_byte);
  (void)set_lock(fd, F_UNLCK, file_lock_arbiter_byte);
}

} // namespace vnvram
