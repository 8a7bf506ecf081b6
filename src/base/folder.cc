#include "base/folder.h"

#include <cerrno>
#include <filesystem>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file_error.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

} // namespace

std::optional<Folder> Folder::of(UniqueFd fd, std::string path) {
  return fd.valid() ? std::optional(Folder(std::move(fd), std::move(path))) : std::nullopt;
}

std::optional<Folder> Folder::open(const std::string& path) {
  return of(UniqueFd(::open(path.empty() ? "." : path.c_str(), folder_flags)), path);
}

std::optional<Folder> Folder::open_for(const std::string& file_path) {
  return open(fs::path(file_path).parent_path().string());
}

std::optional<Folder> Folder::enter_for(const std::string& file_path) {
  const std::string path = fs::path(file_path).parent_path().string();
  return of(UniqueFd(::open(path.empty() ? "." : path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
            path);
}

std::optional<Folder> Folder::open_below(const std::string& name) const {
  return of(open_file(name, O_RDONLY | O_DIRECTORY), path_of(name));
}

std::optional<Folder> Folder::open_again() const {
  return of(UniqueFd(::openat(fd(), ".", folder_flags)), path_);
}

std::string Folder::path_of(const std::string& name) const {
  return (fs::path(path_) / name).string();
}

UniqueFd Folder::open_file(const std::string& name, int flags, mode_t mode) const {
  return UniqueFd(::openat(fd(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
}

bool Folder::look_at(const std::string& name, struct stat& status) const {
  return ::fstatat(fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

std::vector<std::string> Folder::names() const {
  std::vector<std::string> names;
  UniqueFd listed(::openat(fd(), ".", folder_flags)); // With a position of its own.
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(
      listed.valid() ? ::fdopendir(listed.get()) : nullptr, ::closedir);
  if (!stream) {
    return names;
  }
  (void)listed.release();
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this thread's alone.
  while (const dirent* entry = ::readdir(stream.get())) {
    std::string name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") {
      names.push_back(std::move(name));
    }
  }
  return names;
}

Status Folder::sync(const std::string& path) const {
  return ::fsync(fd()) == 0
             ? Status()
             : change_error(path, "its name may not survive a power cut", errno, "the folder");
}

} // namespace vnvram
