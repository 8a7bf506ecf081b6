#include "device/opened_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include <fmt/core.h>

#include "base/file_error.h"
#include "device/location.h"

namespace vnvram {

std::string error_reason(int error) {
  return std::generic_category().message(error);
}

namespace {

Error open_error(const std::string& path, Access access, bool block_special, int error) {
  if (path.empty()) {
    return {ErrorKind::absent, "the name of what is to be opened is empty", "name the image"};
  }
  std::string cause = fmt::format("{}: cannot open: {}", path, error_reason(error));
  if (error == ENOENT || error == ENOTDIR || error == ENXIO) {
    return {ErrorKind::absent, std::move(cause), "check the path, or create the image"};
  }
  if (error == EBUSY && block_special) {
    return {ErrorKind::in_use, std::move(cause),
            "unmount it, or stop the program that has it open"};
  }
  if (access == Access::read_write) {
    return change_error(path, "cannot open for writing", error);
  }
  return {ErrorKind::io, std::move(cause),
          error == EACCES ? "give this user read access to it" : ""};
}

} // namespace

Result<OpenedFile> open_file(const std::string& path, Access access) {
  // Looked at first: opening a pipe would wait for its other end.
  struct stat status = {};
  if (::stat(path.c_str(), &status) < 0) {
    return open_error(path, access, false, errno);
  }
  const bool block_special = S_ISBLK(status.st_mode);
  if (!block_special && !S_ISREG(status.st_mode)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: neither a regular file nor a block device", path));
  }
  int flags = O_CLOEXEC | (access == Access::read_write ? O_RDWR : O_RDONLY);
  if (block_special && access == Access::read_write) {
    flags |= O_EXCL; // On a block device, without O_CREAT: no mount and no second exclusive opener.
  }
  UniqueFd fd(::open(path.c_str(), flags));
  if (!fd.valid()) {
    return open_error(path, access, block_special, errno);
  }
  struct stat opened = {};
  if (::fstat(fd.get(), &opened) < 0 || (opened.st_mode & S_IFMT) != (status.st_mode & S_IFMT)) {
    return Error(ErrorKind::io, fmt::format("{}: was replaced while it was opened", path),
                 "try again");
  }
  int read_only = 0; // A block device that is set read-only may still open for writing.
  if (block_special && access == Access::read_write &&
      ::ioctl(fd.get(), BLKROGET, &read_only) == 0 && read_only != 0) {
    return Error(ErrorKind::read_only, fmt::format("{}: the device is set read-only", path),
                 "blockdev --setrw allows writing to it");
  }
  return OpenedFile{std::move(fd), block_special};
}

Status check_descriptor(const std::string& location) {
  const std::optional<int> number = descriptor_of(location);
  if (scheme_of(location) != LocationScheme::descriptor ||
      (number && ::fcntl(*number, F_GETFD) >= 0)) {
    return {};
  }
  return Error(ErrorKind::absent, fmt::format("{}: there is no such open descriptor", location),
               "open the image for the program that is started: ... fd:3 3<>vm.nvram");
}

Result<OpenedFile> open_descriptor(const std::string& location, Access access) {
  if (Status is_open = check_descriptor(location); !is_open) {
    return is_open.error();
  }
  const std::optional<int> number = descriptor_of(location);
  struct stat status = {};
  const int flags = ::fcntl(*number, F_GETFL);
  if (flags < 0 || ::fstat(*number, &status) < 0) {
    return Error(ErrorKind::io, fmt::format("{}: {}", location, error_reason(errno)));
  }
  const std::string name = location_name(location);
  const bool block_special = S_ISBLK(status.st_mode);
  if (!block_special && !S_ISREG(status.st_mode)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{} ({}): neither a regular file nor a block device", location, name));
  }
  const bool writes = access == Access::read_write;
  const int mode = flags & O_ACCMODE;
  if (writes && mode != O_RDWR) {
    return Error(ErrorKind::read_only,
                 fmt::format("{} ({}): is not open for reading and writing", location, name),
                 "open it for both: 3<>vm.nvram");
  }
  if (mode == O_WRONLY || (flags & (O_APPEND | O_PATH)) != 0) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{} ({}): is not open for reading at any place", location, name),
                 "open it for reading and writing, and not for appending: 3<>vm.nvram");
  }
  const std::string again = fmt::format("/proc/self/fd/{}", *number);
  const int exclusive = block_special && writes ? O_EXCL : 0;
  UniqueFd fd(::open(again.c_str(), mode | O_CLOEXEC | exclusive));
  if (!fd.valid() && (flags & O_DIRECT) != 0) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{} ({}): is open with O_DIRECT", location, name),
                 "open it without; what is to be direct is so by itself");
  }
  if (!fd.valid()) {
    fd = UniqueFd(::fcntl(*number, F_DUPFD_CLOEXEC, 0));
  }
  return fd.valid() ? Result<OpenedFile>(OpenedFile{std::move(fd), block_special})
                    : Error(ErrorKind::io, fmt::format("{}: {}", location, error_reason(errno)));
}

Result<std::uint64_t> measure(const OpenedFile& file, const std::string& path) {
  std::uint64_t size_bytes = 0;
  struct statx status = {};
  // Only the size: whoever asks for a file's times makes its next write change them, on a file
  // system with fine-grained times, and that write's durability then costs half as much again.
  if (file.block_special ? ::ioctl(file.fd.get(), BLKGETSIZE64, &size_bytes) < 0
                         : ::statx(file.fd.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status) < 0) {
    return Error(ErrorKind::io,
                 fmt::format("{}: cannot tell its size: {}", path, error_reason(errno)));
  }
  return file.block_special ? size_bytes : status.stx_size;
}

} // namespace vnvram
