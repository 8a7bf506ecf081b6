#include "cli/output_file.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>

#include "base/unique_fd.h"
#include "base/work_folder.h"

namespace vnvram::cli {
namespace {

namespace fs = std::filesystem;

Error write_failure(const std::string& path, int error_number) {
  return {ErrorKind::io,
          "cannot write " + path + ": " + std::generic_category().message(error_number)};
}

/// False with errno set.
bool write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// Beside `target` until it is complete, in a folder that goes with what is in it.
Status replace_file(const std::string& path, const fs::path& target,
                    std::span<const std::byte> bytes, mode_t mode) {
  constexpr const char* name = "file";
  const auto work = WorkFolder::make((target.parent_path() / ".vnvram-new-").string());
  const UniqueFd file =
      work ? work->folder().open_file(name, O_RDWR | O_CREAT | O_EXCL, 0600) : UniqueFd();
  if (!file.valid() || ::fchmod(file.get(), mode) != 0 || !write_all(file.get(), bytes) ||
      ::fsync(file.get()) != 0 ||
      ::renameat(work->folder().fd(), name, work->parent().fd(), target.filename().c_str()) != 0) {
    return write_failure(path, errno);
  }
  return work->parent().sync(path);
}

Status write_directly(const std::string& path, std::span<const std::byte> bytes) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid() || !write_all(file.get(), bytes) || ::close(file.release()) != 0) {
    return write_failure(path, errno);
  }
  return {};
}

} // namespace

Status write_output_file(const std::string& path, std::span<const std::byte> bytes,
                         mode_t new_file_mode) {
  if (path.empty()) {
    return Error(ErrorKind::invalid_argument, "the name of the file to be written is empty",
                 "name a file");
  }
  struct stat existing {};
  if (::stat(path.c_str(), &existing) != 0) {
    if (errno != ENOENT || fs::is_symlink(fs::symlink_status(path))) {
      return write_failure(path, errno);
    }
    return replace_file(path, path, bytes, new_file_mode);
  }
  if (!S_ISREG(existing.st_mode)) {
    return write_directly(path, bytes);
  }
  std::error_code failure;
  const fs::path target = fs::canonical(path, failure); // A symbolic link stays one.
  if (failure) {
    return write_failure(path, failure.value());
  }
  return replace_file(path, target, bytes, existing.st_mode & 07777U);
}

} // namespace vnvram::cli
