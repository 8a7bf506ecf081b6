#include "device/qemu_file.h"

#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

namespace vnvram {

std::optional<QemuFile> QemuFile::in(const Folder& folder, std::string file, std::string name) {
  std::optional<Folder> again = folder.open_again();
  if (!again) {
    return std::nullopt;
  }
  QemuFile made(std::move(name));
  made.file_ = std::move(file);
  made.folder_ = std::make_shared<const Folder>(*std::move(again));
  return made;
}

std::string QemuFile::for_programs() const {
  if (folder_) {
    return "./" + file_;
  }
  std::error_code failed;
  const std::string path = std::filesystem::absolute(name_, failed).string();
  return failed ? name_ : path;
}

std::string QemuFile::renamed_in(const std::string& said) const {
  std::string renamed = said;
  const std::string told = for_programs();
  for (std::size_t at = folder_ ? renamed.find(told) : std::string::npos; at != std::string::npos;
       at = renamed.find(told, at + name_.size())) {
    renamed.replace(at, told.size(), name_);
  }
  return renamed;
}

UniqueFd QemuFile::open(int flags) const {
  return folder_ ? folder_->open_file(file_, flags)
                 : UniqueFd(::open(name_.c_str(), flags | O_CLOEXEC));
}

bool QemuFile::is_block_device() const {
  struct stat status {};
  const bool seen = folder_ ? folder_->look_at(file_, status) : ::stat(name_.c_str(), &status) == 0;
  return seen && S_ISBLK(status.st_mode);
}

} // namespace vnvram
