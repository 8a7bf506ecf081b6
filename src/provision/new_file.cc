#include "provision/new_file.h"

#include <cerrno>
#include <cstdio> // RENAME_NOREPLACE
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_error.h"
#include "device/hidden_writes.h"

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

// A mistyped device: what would be made is in memory, and looks like an image until the next boot.
bool would_be_a_device(const std::string& target) {
  std::error_code failed;
  const std::string folder =
      fs::weakly_canonical(fs::path(target).parent_path(), failed).string() + "/";
  return !failed && folder.starts_with("/dev/") && !folder.starts_with("/dev/shm/");
}

} // namespace

void NewFile::remove_left(const Folder& folder) {
  WorkFolder::remove_left(folder, beginning);
}

Result<NewFile> NewFile::make(const std::string& target, bool& forbidden) {
  if (would_be_a_device(target)) {
    return Error(ErrorKind::absent, target + ": there is no such device",
                 "look at its name; a file there would be gone at the next boot");
  }
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

Result<QemuFile> NewFile::for_qemu() const {
  std::optional<QemuFile> file = QemuFile::in(folder_.folder(), name_, target_);
  return file ? Result<QemuFile>(*std::move(file))
              : file_error(target_, "cannot open the folder beside it");
}

Status NewFile::set_rights(const FileRights& rights, bool& forbidden) {
  const bool is_given = ::fchown(fd(), rights.user, rights.group) == 0 || !rights.owner_is_needed;
  if (!is_given || ::fchmod(fd(), rights.mode) != 0) {
    forbidden = forbids_replacing(errno);
    return file_error(target_, "cannot give the new image the owner and mode of the old file");
  }
  return {};
}

// What takes a name may take the place of all that there was.
Status NewFile::check_is_it() const {
  struct stat opened {};
  struct stat named {};
  if (::fstat(fd(), &opened) != 0 || !folder_.folder().look_at(name_, named)) {
    return file_error(target_, "cannot look at what was made beside it");
  }
  const bool same =
      (opened.st_dev == named.st_dev && opened.st_ino == named.st_ino) || !inodes_last(fd());
  return same && opened.st_size > 0
             ? Status()
             : Error(ErrorKind::stale, target_ + ": what was made for it was written elsewhere",
                     "what was there is as it was; look who changes its folder");
}

// Where the file system cannot rename so it gets a second name, and loses the first one with the
// folder.
bool NewFile::give_name(Replaces replaces) const {
  const int from = folder_.folder().fd();
  const int to = folder_.parent().fd();
  if (replaces == Replaces::old_file) {
    return ::renameat(from, name_.c_str(), to, name_.c_str()) == 0;
  }
  if (::renameat2(from, name_.c_str(), to, name_.c_str(), RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  if (::linkat(from, name_.c_str(), to, name_.c_str(), 0) == 0) {
    return true;
  }
  // Neither (shared folders of VirtualBox, FAT behind FUSE): a look has to do.
  struct stat there {};
  return (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) &&
         ::fstatat(to, name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT &&
         ::renameat(from, name_.c_str(), to, name_.c_str()) == 0;
}

Status NewFile::take_name(Replaces replaces, bool& forbidden) {
  if (const Status is_it = check_is_it(); !is_it) {
    return is_it;
  }
  if (!give_name(replaces)) {
    if (errno == EEXIST && replaces == Replaces::nothing) {
      return Error(ErrorKind::exists,
                   target_ + ": somebody has made something of this name meanwhile",
                   "it is as it was, and what was made for it is gone; look what it is");
    }
    forbidden = forbids_replacing(errno);
    return file_error(target_, "cannot rename the new image to this name");
  }
  return folder_.parent().sync(target_);
}

} // namespace vnvram
