#include "backup/blob_spool.h"

#include <cassert>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/location.h"
#include "provision/new_file.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

std::optional<WorkFolder> make_folder(const fs::path& where) {
  return WorkFolder::make((where / ".vnvram-spool-").string());
}

// A block device's folder is no place for files, and a file's may be another user's.
std::optional<WorkFolder> make_folder_for(const std::string& target) {
  std::error_code failed;
  const fs::file_status there = fs::status(target, failed);
  if (!is_served(target) && (!fs::exists(there) || fs::is_regular_file(there))) {
    std::optional<WorkFolder> beside = make_folder(fs::path(target).parent_path());
    if (beside) {
      return beside;
    }
  }
  return make_folder(fs::temp_directory_path(failed));
}

} // namespace

Result<BlobSpool> BlobSpool::make(const std::string& target, bool in_memory) {
  if (in_memory) {
    UniqueFd memory(::memfd_create("vnvram-spool", MFD_CLOEXEC));
    return memory.valid() ? Result<BlobSpool>(BlobSpool(target, std::nullopt, std::move(memory)))
                          : file_error(target, "cannot have its contents in memory");
  }
  std::optional<WorkFolder> folder = make_folder_for(target);
  if (!folder) {
    return file_error(target, "cannot make a file beside it");
  }
  UniqueFd file = folder->folder().open_file("contents", O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!file.valid()) {
    return file_error(target, "cannot make a file beside it");
  }
  return BlobSpool(target, *std::move(folder), std::move(file));
}

Status BlobSpool::put(const std::string& blob, std::span<const std::byte> content) {
  Place place = places_[blob];
  if (place.room_bytes < content.size()) {
    place = {.offset_bytes = end_bytes_, .room_bytes = content.size()};
    end_bytes_ += content.size();
  }
  place.size_bytes = content.size();
  places_[blob] = place;
  auto at = static_cast<off_t>(place.offset_bytes);
  while (!content.empty()) {
    const ssize_t written = ::pwrite(file_.get(), content.data(), content.size(), at);
    if (written > 0) {
      content = content.subspan(static_cast<std::size_t>(written));
      at += written;
    } else if (written == 0 || errno != EINTR) {
      errno = written == 0 ? ENOSPC : errno;
      return file_error(target_, "cannot write to a file beside it");
    }
  }
  return {};
}

Result<std::vector<std::byte>> BlobSpool::read(const std::string& blob) const {
  const auto found = places_.find(blob);
  assert(found != places_.end());
  std::vector<std::byte> content(found->second.size_bytes);
  std::size_t done_bytes = 0;
  while (done_bytes < content.size()) {
    const ssize_t got =
        ::pread(file_.get(), content.data() + done_bytes, content.size() - done_bytes,
                static_cast<off_t>(found->second.offset_bytes + done_bytes));
    if (got > 0) {
      done_bytes += static_cast<std::size_t>(got);
    } else if (got == 0 || errno != EINTR) {
      errno = got == 0 ? EIO : errno;
      return file_error(target_, "cannot read from a file beside it");
    }
  }
  return content;
}

} // namespace vnvram
