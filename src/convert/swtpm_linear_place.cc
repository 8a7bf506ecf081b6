#include "convert/swtpm_linear_place.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_error.h"
#include "base/unique_fd.h"
#include "convert/new_entry.h"
#include "convert/stored_bytes.h"
#include "convert/swtpm_linear_file.h"
#include "convert/swtpm_lock.h"

namespace vnvram {
namespace {

/// What must be zeros of a device for it to be blank: more than whatever keeps something there says
/// of itself at its beginning.
constexpr std::size_t blank_size_bytes = std::size_t{16} << 20U;
/// The header's, written last: a device writes it whole or not at all, nearly always.
constexpr std::size_t first_part_bytes = 4096;

Result<std::uint64_t> size_of(const UniqueFd& file, const std::string& path) {
  const off_t size_bytes = ::lseek(file.get(), 0, SEEK_END);
  return size_bytes >= 0
             ? Result<std::uint64_t>(static_cast<std::uint64_t>(size_bytes))
             : Error(ErrorKind::io, fmt::format("{}: has no size: {}", path,
                                                std::generic_category().message(errno)));
}

Status check_blank(const UniqueFd& device, const std::string& path) {
  const auto bytes = read_stored_bytes(device.get(), path, 0, blank_size_bytes);
  if (!bytes) {
    return bytes.error();
  }
  return std::all_of(bytes->begin(), bytes->end(),
                     [](std::byte each) { return each == std::byte{0}; })
             ? Status()
             : Error(
                   ErrorKind::exists, fmt::format("{}: the device is not blank", path),
                   "name another one, or fill its first 16 MiB with zeros, to lose what is on it");
}

bool is_block_device(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
}

Result<UniqueFd> open_blank(const std::string& path) {
  UniqueFd device(::open(path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));
  if (!device.valid()) {
    return errno == EBUSY ? Error(ErrorKind::in_use, fmt::format("{}: it is in use", path),
                                  "see what has it: lsblk, fuser")
                          : change_error(path, "cannot be opened", errno);
  }
  const Status blank = check_blank(device, path);
  return blank ? Result<UniqueFd>(std::move(device)) : blank.error();
}

Status write_device(const std::string& path, const std::vector<std::byte>& file) {
  const Result<UniqueFd> opened = open_blank(path);
  if (!opened) {
    return opened.error();
  }
  const UniqueFd& device = *opened;
  const Result<std::uint64_t> size_bytes = size_of(device, path);
  if (!size_bytes) {
    return size_bytes.error();
  }
  if (*size_bytes < file.size()) {
    return Error(ErrorKind::no_space, fmt::format("{}: {} bytes are needed and there are {}", path,
                                                  file.size(), *size_bytes));
  }
  const std::span<const std::byte> all = file;
  const std::size_t first_bytes = std::min(first_part_bytes, file.size());
  const bool done = write_stored_bytes(device.get(), all.subspan(first_bytes), first_bytes) &&
                    ::fsync(device.get()) == 0 &&
                    write_stored_bytes(device.get(), all.first(first_bytes), 0) &&
                    ::fsync(device.get()) == 0;
  return done ? Status() : change_error(path, "cannot be written", errno);
}

} // namespace

Result<SwtpmStateFiles> SwtpmLinearPlace::read() const {
  const Result<SwtpmLock> lock = SwtpmLock::take(path_);
  if (!lock) {
    return lock.error();
  }
  const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.valid()) {
    return Error(
        errno == ENOENT ? ErrorKind::absent : ErrorKind::io,
        fmt::format("{}: cannot be opened: {}", path_, std::generic_category().message(errno)));
  }
  const Result<std::uint64_t> size_bytes = size_of(file, path_);
  const auto header = read_stored_bytes(file.get(), path_, 0, SwtpmLinearFile::header_size_bytes);
  if (!size_bytes || !header) {
    return size_bytes ? header.error() : size_bytes.error();
  }
  const auto sections = SwtpmLinearFile::parse(*header, *size_bytes);
  if (!sections) {
    return Error(sections.error().kind(), fmt::format("{}: {}", path_, sections.error().cause()),
                 sections.error().remedy());
  }
  SwtpmStateFiles states;
  for (std::size_t index = 0; index < states.size(); ++index) {
    const auto& section = sections->at(index);
    if (!section) {
      continue;
    }
    if (section->length_bytes > SwtpmStateFile::size_max_bytes) {
      return Error(ErrorKind::corrupt,
                   fmt::format("{}: a state of {} bytes is none", path_, section->length_bytes));
    }
    auto bytes = read_stored_bytes(file.get(), path_, section->offset_bytes,
                                   static_cast<std::size_t>(section->length_bytes));
    if (!bytes) {
      return bytes.error();
    }
    states.at(index) = *std::move(bytes);
  }
  return states;
}

Status SwtpmLinearPlace::check_free() const {
  if (is_block_device(path_)) {
    const Result<UniqueFd> device = open_blank(path_);
    return device ? Status() : device.error();
  }
  struct stat status {};
  return ::lstat(path_.c_str(), &status) == 0
             ? Status(Error(ErrorKind::exists, fmt::format("{}: something is there already", path_),
                            "name another place"))
             : Status();
}

Status SwtpmLinearPlace::write(const SwtpmStateFiles& states) const {
  const std::vector<std::byte> file = SwtpmLinearFile::compose(states);
  return is_block_device(path_) ? write_device(path_, file) : write_new_file(path_, file);
}

} // namespace vnvram
