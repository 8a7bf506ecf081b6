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

Error cannot_be_made_beside(const std::string& path) {
  return change_error(path, "cannot make a folder beside it", errno, "the folder");
}

Result<Folder> open_folder(const std::string& path, const std::string& name) {
  std::optional<Folder> folder = Folder::open(path);
  return folder ? Result<Folder>(*std::move(folder)) : cannot_be_made_beside(name);
}

// `name` is for messages.
Status write_durably(const UniqueFd& file, std::span<const std::byte> bytes,
                     const std::string& name) {
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

Status write_all(const Folder& folder, const std::vector<NewFileContent>& files,
                 const std::string& name) {
  Status written;
  for (const NewFileContent& file : files) {
    const auto make = [&] {
      return folder.open_file(file.name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    };
    written = written ? write_durably(make(), file.bytes, name) : written;
  }
  return written;
}

// Where the file system cannot rename so: a file by a second name, and a folder can only take the
// place of an empty one.
bool give_name(const WorkFolder& work, const std::string& made, const std::string& name,
               bool is_folder) {
  const int from = work.folder().fd();
  const int to = work.parent().fd();
  if (::renameat2(from, made.c_str(), to, name.c_str(), RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  return is_folder ? ::renameat(from, made.c_str(), to, name.c_str()) == 0
                   : ::linkat(from, made.c_str(), to, name.c_str(), 0) == 0;
}

// What was made in the work folder, beside which its place is.
Status name_durably(const WorkFolder& work, const std::string& made, const std::string& name,
                    bool is_folder) {
  const std::string path = work.parent().path_of(name);
  if (!give_name(work, made, name, is_folder)) {
    return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
               ? exists(path)
               : change_error(path, "cannot be given its name", errno, "the folder");
  }
  return work.parent().sync(path);
}

Result<WorkFolder> make_work_folder(const Folder& parent, const std::string& path) {
  std::optional<WorkFolder> folder = WorkFolder::make(parent, ".vnvram-new-");
  return folder ? Result<WorkFolder>(*std::move(folder)) : cannot_be_made_beside(path);
}

Status check_absent(const Folder& folder, const std::string& name) {
  struct stat status {};
  return folder.look_at(name, status) ? exists(folder.path_of(name)) : Status();
}

} // namespace

Status write_new_file(const std::string& path, std::span<const std::byte> bytes) {
  const fs::path file = path;
  return write_new_files(file.parent_path().string(), {{.name = file.filename().string(),
                                                        .bytes = {bytes.begin(), bytes.end()}}});
}

Status write_new_folder(const std::string& path, const std::vector<NewFileContent>& files) {
  const fs::path given = path;
  const fs::path place = given.has_filename() ? given : given.parent_path();
  const std::string name = place.filename().string();
  const Result<Folder> parent = open_folder(place.parent_path().string(), path);
  const Status absent = parent ? check_absent(*parent, name) : parent.error();
  const Result<WorkFolder> work =
      absent ? make_work_folder(*parent, path) : Result<WorkFolder>(absent.error());
  if (!work) {
    return work.error();
  }
  constexpr const char* made = "folder";
  const bool is_made = ::mkdirat(work->folder().fd(), made, 0700) == 0;
  const std::optional<Folder> folder = is_made ? work->folder().open_below(made) : std::nullopt;
  if (!folder) {
    return change_error(path, "cannot be made", errno, "the folder");
  }
  Status written = write_all(*folder, files, path);
  written = written ? folder->sync(path) : written;
  return written ? name_durably(*work, made, name, true) : written;
}

Status write_new_files(const std::string& folder, const std::vector<NewFileContent>& files) {
  const Result<Folder> opened = open_folder(folder, folder);
  return opened ? write_new_files(*opened, files) : opened.error();
}

Status write_new_files(const Folder& folder, const std::vector<NewFileContent>& files) {
  Status done;
  for (const NewFileContent& file : files) {
    done = done ? check_absent(folder, file.name) : done;
  }
  const Result<WorkFolder> work =
      done ? make_work_folder(folder, folder.path()) : Result<WorkFolder>(done.error());
  if (!work) {
    return work.error();
  }
  done = write_all(work->folder(), files, folder.path());
  std::vector<std::string> named;
  for (const NewFileContent& file : files) {
    done = done ? name_durably(*work, file.name, file.name, false) : done;
    if (done) {
      named.push_back(file.name);
    }
  }
  for (const std::string& name : done ? std::vector<std::string>() : named) {
    (void)::unlinkat(folder.fd(), name.c_str(), 0);
  }
  return done;
}

} // namespace vnvram
