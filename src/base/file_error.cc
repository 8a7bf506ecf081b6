#include "base/file_error.h"

#include <cerrno>
#include <system_error>

#include <fmt/core.h>

namespace vnvram {
namespace {

std::string remedy_for(int error, std::string_view whose) {
  switch (error) {
  case EROFS: return "mount its file system writable, or use a copy elsewhere";
  case EACCES: return fmt::format("give this user write access to {}", whose);
  case EPERM: return "lsattr shows whether it is immutable; chattr -i makes it mutable";
  case ENOSPC: return "make room on its disk";
  case EDQUOT: return "raise this user's quota, or make room";
  case EFBIG: return "raise the limit on the size of files (ulimit -f)";
  default: return {};
  }
}

} // namespace

ErrorKind change_error_kind(int error) {
  switch (error) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG: return ErrorKind::no_space;
  case EROFS:
  case EACCES:
  case EPERM: return ErrorKind::read_only;
  default: return ErrorKind::io;
  }
}

Error change_error(const std::string& path, std::string_view what, int error,
                   std::string_view whose) {
  return {change_error_kind(error),
          fmt::format("{}: {}: {}", path, what, std::generic_category().message(error)),
          remedy_for(error, whose)};
}

} // namespace vnvram
