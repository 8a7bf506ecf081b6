#include "base/work_folder.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t random_length = 6;
// Somebody who cleans up may take a new folder before there is a lock in it.
constexpr int tries_max = 100;

std::string lock_name(const std::string& folder) {
  return folder + "/.lock";
}

enum class Lock { taken, others, none };

/// Of a file, and not of the folder itself: on network file systems only files have locks that
/// other hosts see.
Lock take(const UniqueFd& file) {
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
    return Lock::taken;
  }
  return errno == EWOULDBLOCK ? Lock::others : Lock::none;
}

bool has_name(const UniqueFd& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 && status.st_nlink > 0;
}

/// With the files in it, and folders of ours, which were made below it. The lock goes last.
// NOLINTNEXTLINE(misc-no-recursion): as deep as we have made them.
void remove(const std::string& folder) {
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string path = entry->path().string();
    std::error_code unknown;
    if (path != lock_name(folder) && fs::is_directory(entry->symlink_status(unknown))) {
      remove(path);
    } else if (path != lock_name(folder)) {
      (void)::unlink(path.c_str());
    }
  }
  (void)::unlink(lock_name(folder).c_str());
  (void)::rmdir(folder.c_str());
}

void remove_if_left(const std::string& folder) {
  struct stat status {};
  if (::lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
      status.st_uid != ::geteuid()) {
    return;
  }
  const UniqueFd lock(::open(lock_name(folder).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock.valid()) {
    // Just made, or left just then. Who has just made it makes another one.
    (void)::rmdir(folder.c_str());
  } else if (take(lock) == Lock::taken && has_name(lock)) {
    remove(folder);
  }
}

} // namespace

void WorkFolder::remove_left(const std::string& prefix) {
  const fs::path parent = fs::path(prefix).parent_path();
  const std::string beginning = fs::path(prefix).filename().string();
  std::error_code failed;
  for (fs::directory_iterator entry(parent.empty() ? "." : parent, failed), end;
       !failed && entry != end; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(beginning) && name.size() == beginning.size() + random_length) {
      remove_if_left(entry->path().string());
    }
  }
}

std::optional<WorkFolder> WorkFolder::make(const std::string& prefix) {
  remove_left(prefix);
  for (int tries = 0; tries < tries_max; ++tries) {
    std::string path = prefix + std::string(random_length, 'X');
    if (::mkdtemp(path.data()) == nullptr) {
      return std::nullopt;
    }
    UniqueFd lock(
        ::open(lock_name(path).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.valid() && errno != ENOENT) {
      const int error = errno;
      (void)::rmdir(path.c_str());
      errno = error;
      return std::nullopt;
    }
    // Where there are no locks nobody removes it but us.
    if (lock.valid() && take(lock) != Lock::others && has_name(lock)) {
      return WorkFolder(std::move(path), std::move(lock));
    }
  }
  errno = EBUSY;
  return std::nullopt;
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

WorkFolder::~WorkFolder() {
  if (!path_.empty()) {
    remove(path_);
  }
}

} // namespace vnvram
