#include "provision/new_file.h"

#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_error.h"

namespace vnvram {

namespace fs = std::filesystem;

Error file_error(const std::string& path, std::string_view what) {
  return change_error(path, what, errno, "the folder");
}

FileRights FileRights::of(const struct stat& file) {
  return {.user = file.st_uid, .group = file.st_gid, .mode = file.st_mode & 07777};
}

namespace {

constexpr const char* beginning = ".vnvram-new-";

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

// The kernel shows them our descriptors.
bool programs_may_look_at_us() {
  return ::geteuid() == 0 || ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1;
}

} // namespace

void NewFile::remove_left(const Folder& folder) {
  WorkFolder::remove_left(folder, beginning);
}

Result<NewFile> NewFile::make(const std::string& target, bool& forbidden) {
  const std::optional<Folder> folder = Folder::open_for(target);
  if (!folder) {
    forbidden = forbids_replacing(errno);
    return file_error(target, "cannot make a folder beside it");
  }
  Result<NewFile> file = make(*folder, fs::path(target).filename().string(), forbidden);
  if (file) {
    file->target_ = target;
  }
  return file;
}

Result<NewFile> NewFile::make(const Folder& folder, const std::string& name, bool& forbidden) {
  std::string target = folder.path_of(name);
  std::optional<WorkFolder> work = WorkFolder::make(folder, beginning);
  if (!work) {
    forbidden = forbids_replacing(errno);
    return file_error(target, "cannot make a folder beside it");
  }
  UniqueFd fd = work->folder().open_file(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!fd.valid()) {
    return file_error(target, "cannot make a file beside it");
  }
  return NewFile(*std::move(work), name, std::move(target), std::move(fd));
}

std::string NewFile::path_for_programs() const {
  const std::string by_us =
      fmt::format("/proc/{}/fd/{}/{}", ::getpid(), folder_.folder().fd(), name_);
  return programs_may_look_at_us() && ::access(by_us.c_str(), F_OK) == 0
             ? by_us
             : folder_.folder().path_of(name_);
}

Status NewFile::set_rights(const FileRights& rights, bool& forbidden) {
  const bool is_given = ::fchown(fd(), rights.user, rights.group) == 0 || !rights.owner_is_needed;
  if (!is_given || ::fchmod(fd(), rights.mode) != 0) {
    forbidden = forbids_replacing(errno);
    return file_error(target_, "cannot give the new image the owner and mode of the old file");
  }
  return {};
}

Status NewFile::take_name(bool& forbidden) {
  if (::renameat(folder_.folder().fd(), name_.c_str(), folder_.parent().fd(), name_.c_str()) != 0) {
    forbidden = forbids_replacing(errno);
    return file_error(target_, "cannot rename the new image to this name");
  }
  return folder_.parent().sync(target_);
}

} // namespace vnvram
