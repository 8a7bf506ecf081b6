#include "store/new_file.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
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

} // namespace

Result<NewFile> NewFile::make(const std::string& target, bool& forbidden) {
  NewFile file;
  file.path_ = target + ".XXXXXX";
  file.fd_ = UniqueFd(::mkostemp(file.path_.data(), O_CLOEXEC));
  if (!file.fd_.valid()) {
    forbidden = forbids_replacing(errno);
    file.path_.clear(); // Leaves errno as it is.
    return file_error(target, "cannot make a file beside it");
  }
  return file;
}

Result<NewFile> NewFile::make_in_folder(const std::string& target) {
  NewFile file;
  std::string folder = target + ".XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    return file_error(target, "cannot make a folder beside it");
  }
  file.folder_ = folder;
  const std::string path = folder + "/" + fs::path(target).filename().string();
  file.fd_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.fd_.valid()) {
    return file_error(target, "cannot make a file beside it");
  }
  file.path_ = path;
  return file;
}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), folder_(std::exchange(other.folder_, {})),
      fd_(std::move(other.fd_)) {}

NewFile::~NewFile() {
  if (!path_.empty()) {
    ::unlink(path_.c_str());
  }
  if (!folder_.empty()) {
    ::rmdir(folder_.c_str());
  }
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
  path_.clear();
  const std::string folder = fs::path(target).parent_path();
  const UniqueFd folder_fd(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_fd.valid() || ::fsync(folder_fd.get()) != 0) {
    return file_error(target, "the new image is there, but its name may not survive a power cut");
  }
  return {};
}

} // namespace vnvram
