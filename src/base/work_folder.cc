#include "base/work_folder.h"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random_bytes.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t random_length = 6;
// Somebody who cleans up may take a new folder before there is a lock in it.
constexpr int tries_max = 100;

/// With the letters of the folder's own name: only what was made here has it, by the very name that
/// it was made by. Whoever may write to the folder around it may give that name to any folder of
/// ours.
std::string lock_name_of(const std::string& name) {
  return ".lock-" + name.substr(name.size() - random_length);
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

/// Of the files in it, and of folders of ours, which were made below it. The lock goes last.
// NOLINTNEXTLINE(misc-no-recursion): as deep as we have made them.
void clear(const Folder& folder, const std::string& lock_name = {}) {
  for (const std::string& name : folder.names()) {
    if (name == lock_name || ::unlinkat(folder.fd(), name.c_str(), 0) == 0) {
      continue;
    }
    if (const std::optional<Folder> below = folder.open_below(name)) {
      clear(*below);
      (void)::unlinkat(folder.fd(), name.c_str(), AT_REMOVEDIR);
    }
  }
  if (!lock_name.empty()) {
    (void)::unlinkat(folder.fd(), lock_name.c_str(), 0);
  }
}

// By its name: whatever else has that by now, only an empty folder goes. Its lock is let go before:
// an NFS client keeps a file that is removed while it is open, in the same folder.
void remove_empty(const Folder& parent, const std::string& name) {
  (void)::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR);
}

void remove_if_left(const Folder& parent, const std::string& name) {
  const std::optional<Folder> folder = parent.open_below(name);
  struct stat status {};
  // Nobody else can have put a lock into one like this.
  if (!folder || ::fstat(folder->fd(), &status) != 0 || status.st_uid != ::geteuid() ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return;
  }
  const std::string lock_name = lock_name_of(name);
  UniqueFd lock = folder->open_file(lock_name, O_RDWR);
  if (!lock.valid()) {
    // Just made, or left just then. Who has just made it makes another one. Or it is none.
    remove_empty(parent, name);
  } else if (take(lock) == Lock::taken && has_name(lock)) {
    clear(*folder, lock_name);
    lock.reset();
    remove_empty(parent, name);
  }
}

/// Whether the folder that a new file is in belongs to whoever that file belongs to: us. By the
/// file, as some network file systems give what we make to somebody else.
bool is_of_who_made(const UniqueFd& file, const Folder& folder) {
  struct stat made {};
  struct stat around {};
  return ::fstat(file.get(), &made) == 0 && ::fstat(folder.fd(), &around) == 0 &&
         made.st_uid == around.st_uid;
}

} // namespace

void WorkFolder::remove_left(const Folder& parent, const std::string& beginning) {
  for (const std::string& name : parent.names()) {
    if (name.starts_with(beginning) && name.size() == beginning.size() + random_length) {
      remove_if_left(parent, name);
    }
  }
}

std::optional<WorkFolder> WorkFolder::make(const std::string& prefix) {
  const std::optional<Folder> parent = Folder::open_for(prefix);
  return parent ? make(*parent, fs::path(prefix).filename().string()) : std::nullopt;
}

std::optional<WorkFolder> WorkFolder::make(const Folder& parent, const std::string& beginning) {
  remove_left(parent, beginning);
  for (int tries = 0; tries < tries_max; ++tries) {
    const Result<std::string> letters = random_letters(random_length);
    std::optional<Folder> around = parent.open_again();
    if (!letters || !around) {
      return std::nullopt;
    }
    std::string name = beginning + *letters;
    if (::mkdirat(parent.fd(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST) {
        continue;
      }
      return std::nullopt;
    }
    const std::string lock_name = lock_name_of(name);
    std::optional<Folder> folder = parent.open_below(name);
    UniqueFd lock =
        folder ? folder->open_file(lock_name, O_RDWR | O_CREAT | O_EXCL, 0600) : UniqueFd();
    if (!lock.valid() && errno != ENOENT) {
      const int error = errno;
      remove_empty(parent, name);
      errno = error;
      return std::nullopt;
    }
    // Where there are no locks nobody removes it but us.
    if (lock.valid() && take(lock) != Lock::others && has_name(lock)) {
      if (is_of_who_made(lock, *folder)) {
        return WorkFolder(*std::move(around), std::move(name), *std::move(folder), std::move(lock));
      }
      (void)::unlinkat(folder->fd(), lock_name.c_str(), 0);
    }
  }
  errno = EBUSY;
  return std::nullopt;
}

WorkFolder::WorkFolder(Folder parent, std::string name, Folder folder, UniqueFd lock)
    : parent_(std::move(parent)), name_(std::move(name)), folder_(std::move(folder)),
      lock_(std::move(lock)) {}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : parent_(std::move(other.parent_)), name_(std::exchange(other.name_, {})),
      folder_(std::move(other.folder_)), lock_(std::move(other.lock_)) {}

WorkFolder::~WorkFolder() {
  if (!name_.empty()) {
    clear(folder_, lock_name_of(name_));
    lock_.reset();
    remove_empty(parent_, name_);
  }
}

} // namespace vnvram
