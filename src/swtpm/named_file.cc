#include "swtpm/named_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file_error.h"

namespace vnvram {

Result<UniqueFd> find_file(const Folder& folder, const std::string& name) {
  const std::string path = folder.path_of(name);
  UniqueFd file = folder.open_file(name, O_PATH);
  if (!file.valid()) {
    return errno == ENOENT ? Result<UniqueFd>(UniqueFd())
                           : change_error(path, "cannot look at it", errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return change_error(path, "cannot look at it", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return Error(ErrorKind::foreign, path + ": it is no regular file",
                 "a TPM's state is one; look who has put that there");
  }
  return file;
}

Status check_name_of(const UniqueFd& file, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  if (::lstat(path.c_str(), &named) != 0) {
    return Error(ErrorKind::absent, path + ": it was removed while it was in use",
                 "end this program, and start it again");
  }
  if (::fstat(file.get(), &opened) != 0 || opened.st_dev != named.st_dev ||
      opened.st_ino != named.st_ino) {
    return Error(ErrorKind::stale, path + ": something else has its place since it is in use",
                 "end this program, and start it again");
  }
  return {};
}

} // namespace vnvram
