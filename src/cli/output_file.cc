#include "cli/output_file.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/stat.h>
#include <system_error>

#include "base/unique_fd.h"
#include "base/work_folder.h"

namespace vnvram::cli {
namespace {

namespace fs = std::filesystem;

Error write_failure(const std::string& path, int error_number) {
  return {ErrorKind::io,
          "cannot write " + path + ": " + std::generic_category().message(error_number)};
}

/// False with errno set.
bool write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// A file beside `target` that is removed again unless it was renamed.
class Draft {
public:
  explicit Draft(const fs::path& target)
      : folder_(WorkFolder::make((target.parent_path() / ".vnvram-new-").string())) {
    if (folder_) {
      path_ = folder_->path() + "/file";
      file_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    }
  }

  [[nodiscard]] bool is_open() const { return file_.valid(); }
  [[nodiscard]] int descriptor() const { return file_.get(); }
  /// False with errno set.
  bool rename_to(const fs::path& target) { return ::rename(path_.c_str(), target.c_str()) == 0; }

private:
  std::optional<WorkFolder> folder_; ///< Goes with what is in it.
  std::string path_;
  UniqueFd file_;
};

/// The names of a renamed file are durable when their folder is.
bool sync_folder(const fs::path& target) {
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const UniqueFd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened.valid() && ::fsync(opened.get()) == 0;
}

Status replace_file(const std::string& path, const fs::path& target,
                    std::span<const std::byte> bytes, mode_t mode) {
  Draft draft(target);
  if (!draft.is_open()) {
    return write_failure(path, errno);
  }
  if (::fchmod(draft.descriptor(), mode) != 0) {
    return write_failure(path, errno);
  }
  if (!write_all(draft.descriptor(), bytes) || ::fsync(draft.descriptor()) != 0 ||
      !draft.rename_to(target) || !sync_folder(target)) {
    return write_failure(path, errno);
  }
  return {};
}

Status write_directly(const std::string& path, std::span<const std::byte> bytes) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid() || !write_all(file.get(), bytes) || ::close(file.release()) != 0) {
    return write_failure(path, errno);
  }
  return {};
}

} // namespace

Status write_output_file(const std::string& path, std::span<const std::byte> bytes,
                         mode_t new_file_mode) {
  struct stat existing {};
  if (::stat(path.c_str(), &existing) != 0) {
    if (errno != ENOENT || fs::is_symlink(fs::symlink_status(path))) {
      return write_failure(path, errno);
    }
    return replace_file(path, path, bytes, new_file_mode);
  }
  if (!S_ISREG(existing.st_mode)) {
    return write_directly(path, bytes);
  }
  std::error_code failure;
  const fs::path target = fs::canonical(path, failure); // A symbolic link stays one.
  if (failure) {
    return write_failure(path, failure.value());
  }
  return replace_file(path, target, bytes, existing.st_mode & 07777U);
}

} // namespace vnvram::cli
