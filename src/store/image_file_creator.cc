// create_image at a path: a file is complete and durable before it takes its name.
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "device/nbd_device.h"
#include "store/image_creator.h"
#include "vnvram/store.h"

namespace vnvram {

namespace {

namespace fs = std::filesystem;

Error system_error(const std::string& path, std::string_view what) {
  const int error = errno;
  return {error == ENOSPC || error == EDQUOT ? ErrorKind::no_space : ErrorKind::io,
          fmt::format("{}: {}: {}", path, what, std::generic_category().message(error))};
}

// A name of its own in the same folder, gone again unless keep() is called.
class NewFile {
public:
  static Result<NewFile> make(const std::string& target) {
    NewFile file;
    file.path_ = target + ".XXXXXX";
    file.fd_ = UniqueFd(::mkostemp(file.path_.data(), O_CLOEXEC));
    if (file.fd_.get() < 0) {
      file.path_.clear();
      return system_error(target, "cannot make a file beside it");
    }
    return file;
  }
  NewFile(NewFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (!path_.empty()) {
      ::unlink(path_.c_str());
    }
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  Status rename_to(const std::string& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) {
      return system_error(target, "cannot rename the new image to this name");
    }
    path_.clear();
    const std::string folder = fs::path(target).parent_path();
    const UniqueFd folder_fd(
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder_fd.get() < 0 || ::fsync(folder_fd.get()) != 0) {
      return system_error(target,
                          "the new image is there, but its name may not survive a power cut");
    }
    return {};
  }

private:
  NewFile() = default;
  std::string path_;
  UniqueFd fd_;
};

Status check_replaceable(BlockDevice& old, bool force) {
  const Status locked = old.lock_for_writing();
  if (!locked || force) {
    return locked;
  }
  // The same question that creating in place would ask, and nothing written for the answer.
  return check_creatable(old);
}

Result<std::uint64_t> choose_size(std::uint64_t size_bytes, std::uint64_t old_size_bytes,
                                  const CreateOptions& options) {
  if (size_bytes != 0) {
    if (size_bytes < image_size_bytes_min || size_bytes > image_size_bytes_max) {
      return Error{ErrorKind::invalid_argument,
                   fmt::format("an image of {} bytes: it must be {} to {} bytes", size_bytes,
                               image_size_bytes_min, image_size_bytes_max)};
    }
    return size_bytes / block_size_bytes * block_size_bytes;
  }
  std::vector<BlobSpec> specs;
  for (const NewBlob& blob : options.blobs) {
    specs.push_back(blob.spec);
  }
  const Result<std::uint64_t> recommended = recommended_size_bytes(specs, options.ring_size_bytes);
  if (!recommended) {
    return recommended;
  }
  const std::uint64_t old_blocks =
      std::min(old_size_bytes, image_size_bytes_max) / block_size_bytes;
  return std::max(*recommended, old_blocks * block_size_bytes);
}

// Keeps what the old file allowed to whom.
Status take_over_rights(const NewFile& file, const struct stat& old, const std::string& target) {
  if (::fchown(file.fd(), old.st_uid, old.st_gid) != 0 ||
      ::fchmod(file.fd(), old.st_mode & 07777) != 0) {
    return system_error(target, "cannot give the new image the owner and mode of the old file");
  }
  return {};
}

Status create_file(const std::string& target, const struct stat* old, std::uint64_t size_bytes,
                   const CreateOptions& options) {
  const Result<std::uint64_t> size = choose_size(
      size_bytes, old == nullptr ? 0 : static_cast<std::uint64_t>(old->st_size), options);
  if (!size) {
    return size.error();
  }
  Result<NewFile> file = NewFile::make(target);
  if (!file) {
    return file.error();
  }
  Status done = old == nullptr ? Status{} : take_over_rights(*file, *old, target);
  if (!done) {
    return done;
  }
  Result<std::unique_ptr<BlockDevice>> device = open_device(file->path(), Access::read_write);
  if (!device) {
    return device.error();
  }
  done = (*device)->resize(*size);
  if (done) {
    done = create_image(**device, options);
  }
  return done ? file->rename_to(target) : done;
}

} // namespace

Status create_image_file(const std::string& path, std::uint64_t size_bytes,
                         const CreateOptions& options) {
  if (is_nbd_uri(path)) {
    const Result<std::unique_ptr<BlockDevice>> there = open_device(path, Access::read_write);
    return there ? create_image(**there, options) : there.error();
  }
  struct stat old {};
  if (::stat(path.c_str(), &old) != 0) {
    if (errno != ENOENT) {
      return system_error(path, "cannot look at it");
    }
    std::error_code no_error;
    if (fs::is_symlink(path, no_error)) {
      return Error{ErrorKind::absent, fmt::format("{}: points to a file that is not there", path),
                   "remove the link, or name the file itself"};
    }
    return create_file(path, nullptr, size_bytes, options);
  }
  Result<std::unique_ptr<BlockDevice>> there = open_device(path, Access::read_write);
  if (!there) {
    return there.error();
  }
  if (!S_ISREG(old.st_mode)) {
    return create_image(**there, options);
  }
  const Status replaceable = check_replaceable(**there, options.force);
  if (!replaceable) {
    return replaceable;
  }
  std::error_code failed;
  const std::string target = fs::canonical(path, failed); // Through a link: the file, not the link.
  if (failed) {
    return Error{ErrorKind::io, fmt::format("{}: {}", path, failed.message())};
  }
  return create_file(target, &old, size_bytes, options); // `there` keeps its lock until the rename.
}

} // namespace vnvram
