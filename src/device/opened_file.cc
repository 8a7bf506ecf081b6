#include "device/opened_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include <fmt/core.h>

#include "base/file_error.h"

namespace vnvram {

std::string error_reason(int error) {
  return std::generic_category().message(error);
}

namespace {

Error open_error(const std::string& path, Access access, bool block_special, int error) {
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
