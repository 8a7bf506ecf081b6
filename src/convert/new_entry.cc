#include "convert/new_entry.h"

#include <cerrno>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_error.h"
#include "base/unique_fd.h"
#include "base/work_folder.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

Error exists(const std::string& path) {
  return {ErrorKind::exists, fmt::format("{}: something is there already", path),
          "name another place"};
}

fs::path folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

Status sync_folder_at(const std::string& path, const std::string& name) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.valid() && ::fsync(folder.get()) == 0
             ? Status()
             : change_error(name, "cannot be made durable", errno);
}

Status write_durably(const std::string& path, std::span<const std::byte> bytes,
                     const std::string& name) {
  const UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) {
    return change_error(name, "cannot be made", errno, "the folder");
  }
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return change_error(name, "cannot be written", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
  return ::fsync(file.get()) == 0 ? Status() : change_error(name, "cannot be made durable", errno);
}

// Where the file system cannot rename so: a file by a second name, and a folder can only take the
// place of an empty one.
bool give_name(const std::string& from, const std::string& path, bool is_folder) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  return is_folder ? ::rename(from.c_str(), path.c_str()) == 0
                   : ::link(from.c_str(), path.c_str()) == 0;
}

Status name_durably(const std::string& from, const std::string& path, bool is_folder) {
  if (!give_name(from, path, is_folder)) {
    return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
               ? exists(path)
               : change_error(path, "cannot be given its name", errno, "the folder");
  }
  return sync_folder_at(folder_of(path).string(), path);
}

Result<WorkFolder> make_work_folder(const fs::path& parent, const std::string& name) {
  std::optional<WorkFolder> folder = WorkFolder::make((parent / ".vnvram-new-").string());
  return folder ? Result<WorkFolder>(*std::move(folder))
                : change_error(name, "cannot make a folder beside it", errno, "the folder");
}

Status check_absent(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? exists(path) : Status();
}

Status write_all(const std::string& folder, const std::vector<NewFileContent>& files,
                 const std::string& name) {
  Status written;
  for (const NewFileContent& file : files) {
    written = written ? write_durably(folder + "/" + file.name, file.bytes, name) : written;
  }
  return written;
}

} // namespace

Status write_new_file(const std::string& path, std::span<const std::byte> bytes) {
  const fs::path folder = folder_of(path);
  const std::string name = fs::path(path).filename().string();
  return write_new_files(folder.string(), {{.name = name, .bytes = {bytes.begin(), bytes.end()}}});
}

Status write_new_folder(const std::string& path, const std::vector<NewFileContent>& files) {
  if (Status absent = check_absent(path); !absent) {
    return absent;
  }
  const Result<WorkFolder> work = make_work_folder(folder_of(path), path);
  if (!work) {
    return work.error();
  }
  const std::string folder = work->path() + "/folder";
  if (::mkdir(folder.c_str(), 0700) != 0) {
    return change_error(path, "cannot be made", errno, "the folder");
  }
  Status written = write_all(folder, files, path);
  written = written ? sync_folder_at(folder, path) : written;
  return written ? name_durably(folder, path, true) : written;
}

Status write_new_files(const std::string& folder, const std::vector<NewFileContent>& files) {
  Status done;
  for (const NewFileContent& file : files) {
    done = done ? check_absent(folder + "/" + file.name) : done;
  }
  const Result<WorkFolder> work =
      done ? make_work_folder(folder, folder) : Result<WorkFolder>(done.error());
  if (!work) {
    return work.error();
  }
  done = write_all(work->path(), files, folder);
  std::vector<std::string> named;
  for (const NewFileContent& file : files) {
    const std::string path = folder + "/" + file.name;
    done = done ? name_durably(work->path() + "/" + file.name, path, false) : done;
    if (done) {
      named.push_back(path);
    }
  }
  for (const std::string& path : done ? std::vector<std::string>() : named) {
    (void)::unlink(path.c_str());
  }
  return done;
}

} // namespace vnvram
