#include "convert/swtpm_lock.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

namespace vnvram {
namespace {

Error used_by_swtpm(const std::string& path) {
  return {ErrorKind::in_use, fmt::format("{}: swtpm has it locked: the TPM runs there", path),
          "shut its machine down first"};
}

} // namespace

Result<SwtpmLock> SwtpmLock::take(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    return errno == ENOENT
               ? Result<SwtpmLock>(SwtpmLock(path, UniqueFd()))
               : Error(ErrorKind::io, fmt::format("{}: cannot be opened: {}", path,
                                                  std::generic_category().message(errno)));
  }
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    return errno == EAGAIN || errno == EACCES
               ? used_by_swtpm(path)
               : Error(ErrorKind::io, fmt::format("{}: cannot be locked: {}", path,
                                                  std::generic_category().message(errno)));
  }
  return SwtpmLock(path, std::move(file));
}

Status SwtpmLock::check() const {
  struct stat status {};
  return !file_.valid() && ::lstat(path_.c_str(), &status) == 0 ? used_by_swtpm(path_) : Status();
}

} // namespace vnvram
