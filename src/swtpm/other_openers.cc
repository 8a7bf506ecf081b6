#include "swtpm/other_openers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include <fmt/core.h>

namespace vnvram {
namespace {

namespace fs = std::filesystem;

bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

bool is_same(const struct stat& one, const struct stat& other) {
  return S_ISBLK(one.st_mode) ? S_ISBLK(other.st_mode) && one.st_rdev == other.st_rdev
                              : one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// The folder of a process of another user, or of one that has just ended, cannot be read.
bool has_open(const fs::path& descriptors, const struct stat& wanted) {
  std::error_code failed;
  for (fs::directory_iterator each(descriptors, failed), end; !failed && each != end;
       each.increment(failed)) {
    struct stat opened {};
    if (::stat(each->path().c_str(), &opened) == 0 && is_same(wanted, opened)) {
      return true;
    }
  }
  return false;
}

} // namespace

Status check_not_open_elsewhere(const std::string& path) {
  struct stat wanted {};
  if (::stat(path.c_str(), &wanted) != 0) {
    return {}; // Whoever opens it says so.
  }
  const std::string own = std::to_string(::getpid());
  std::error_code failed;
  for (fs::directory_iterator each("/proc", failed), end; !failed && each != end;
       each.increment(failed)) {
    const std::string process = each->path().filename();
    if (is_number(process) && process != own && has_open(each->path() / "fd", wanted)) {
      return Error(
          ErrorKind::in_use,
          fmt::format("{}: process {} has it open, and it holds a TPM of swtpm's", path, process),
          "end that one; if it is no swtpm, try again when it is done");
    }
  }
  return {};
}

} // namespace vnvram
