#include "swtpm/kept_aside.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file_error.h"
#include "base/unique_fd.h"
#include "convert/new_entry.h"
#include "convert/stored_bytes.h"
#include "convert/swtpm_state_file.h"
#include "swtpm/named_file.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr int names_max = 1000;

std::string name_for(const std::string& path, int number) {
  return path + ".swtpm" + (number == 1 ? "" : "." + std::to_string(number));
}

bool same_bytes(const std::string& one, const std::string& other) {
  const auto first = read_stored_file(one, SwtpmStateFile::size_max_bytes);
  const auto second = read_stored_file(other, SwtpmStateFile::size_max_bytes);
  return first.ok() && second.ok() && *first == *second;
}

// Where a file system has no links it is copied. swtpm itself does not flush what it writes.
Status give_second_name(const std::string& path, const std::string& name) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() || ::fsync(file.get()) != 0) {
    return change_error(path, "cannot keep it aside", errno);
  }
  const std::string opened = "/proc/self/fd/" + std::to_string(file.get());
  if (::linkat(AT_FDCWD, opened.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return sync_folder_of(name);
  }
  const auto bytes = read_stored_file(opened, SwtpmStateFile::size_max_bytes);
  return bytes.ok() ? write_new_file(name, *bytes) : bytes.error();
}

} // namespace

std::string kept_aside(const std::string& path) {
  std::error_code failed;
  const std::string name = name_for(path, 1);
  return fs::exists(fs::symlink_status(name, failed)) ? name : std::string();
}

Result<std::string> keep_aside(const std::string& path) {
  for (int number = 1; number <= names_max; ++number) {
    const std::string name = name_for(path, number);
    std::error_code failed;
    if (!fs::exists(fs::symlink_status(name, failed))) {
      const Status kept = give_second_name(path, name);
      return kept.ok() ? Result<std::string>(name) : kept.error();
    }
    // An earlier attempt was cut behind it.
    if (const auto there = find_file(name); there.ok() && same_bytes(path, name)) {
      return name;
    }
  }
  return Error(ErrorKind::exists, path + ": too many states of swtpm are kept beside it",
               "remove those that nobody needs");
}

} // namespace vnvram
