#include "provision/new_file.h"

#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_error.h"

namespace vnvram {

namespace fs = std::filesystem;

Error file_error(const std::string& path, std::string_view what) {
  return change_error(path, what, errno, "the folder");
}

namespace {

bool forbids_replacing(int error) {
  switch (error) {
  case EACCES:
  case EPERM:
  case EROFS:
  case EBUSY: // A mount point, as one file that is mounted over another.
  case EXDEV:
  case ENOSYS:
  case EOPNOTSUPP: return true;
  default: return false;
  }
}

std::string prefix_beside(const std::string& target) {
  return (fs::path(target).parent_path() / ".vnvram-new-").string();
}

} // namespace

void NewFile::remove_left(const std::string& target) {
  WorkFolder::remove_left(prefix_beside(target));
}

Result<NewFile> NewFile::make(const std::string& target, bool& forbidden) {
  std::optional<WorkFolder> folder = WorkFolder::make(prefix_beside(target));
  if (!folder) {
    forbidden = forbids_replacing(errno);
    return file_error(target, "cannot make a folder beside it");
  }
  std::string path = folder->path() + "/" + fs::path(target).filename().string();
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return file_error(target, "cannot make a file beside it");
  }
  return NewFile(std::move(*folder), std::move(path), std::move(fd));
}

Status NewFile::take_over_rights(const struct stat& old, const std::string& target,
                                 bool& forbidden) {
  if (::fchown(fd_.get(), old.st_uid, old.st_gid) != 0 ||
      ::fchmod(fd_.get(), old.st_mode & 07777) != 0) {
    forbidden = forbids_replacing(errno);
    return file_error(target, "cannot give the new image the owner and mode of the old file");
  }
  return {};
}

Status NewFile::rename_to(const std::string& target, bool& forbidden) {
  if (::rename(path_.c_str(), target.c_str()) != 0) {
    forbidden = forbids_replacing(errno);
    return file_error(target, "cannot rename the new image to this name");
  }
  const std::string folder = fs::path(target).parent_path();
  const UniqueFd folder_fd(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_fd.valid() || ::fsync(folder_fd.get()) != 0) {
    return file_error(target, "the new image is there, but its name may not survive a power cut");
  }
  return {};
}

} // namespace vnvram
