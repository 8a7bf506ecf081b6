#include "convert/swtpm_return.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <span>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_error.h"
#include "base/work_folder.h"
#include "convert/new_entry.h"
#include "convert/stored_bytes.h"
#include "convert/swtpm_folder.h"
#include "convert/swtpm_linear_file.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr int names_max = 1000;
/// No TPM needs as much; a larger device is somebody's mistake, and all of it is kept in memory.
constexpr std::size_t size_max_bytes = std::size_t{256} << 20U;
/// With the mark, written last: a device writes it whole or not at all, nearly always.
constexpr std::size_t opening_part_bytes = 4096;

std::optional<TpmVersion> version_by_name(const std::string& name) {
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    if (name == SwtpmFolder::file_name(version, TpmState::permanent)) {
      return version;
    }
  }
  return std::nullopt;
}

// Devices have links for names: /dev/GROUP/VOLUME.
std::string device_of(const std::string& path) {
  std::error_code unknown;
  return fs::is_block_file(path, unknown) ? fs::canonical(path, unknown).string() : path;
}

// As `image` is, whoever runs this. To a group that this user is not in nothing can be given: then
// no other group gets that one's rights.
bool give_rights(int descriptor, const struct stat& image) {
  struct stat made {};
  if (::fstat(descriptor, &made) != 0 ||
      (made.st_uid != image.st_uid && ::fchown(descriptor, image.st_uid, image.st_gid) != 0)) {
    return false;
  }
  const bool has_group =
      made.st_gid == image.st_gid || ::fchown(descriptor, image.st_uid, image.st_gid) == 0;
  return ::fchmod(descriptor, image.st_mode & (has_group ? 07777U : 07707U)) == 0;
}

Result<std::size_t> size_of(int descriptor, const std::string& path) {
  const off_t size_bytes = ::lseek(descriptor, 0, SEEK_END);
  if (size_bytes < 0) {
    return change_error(path, "has no size", errno);
  }
  return static_cast<std::size_t>(size_bytes) <= size_max_bytes
             ? Result<std::size_t>(static_cast<std::size_t>(size_bytes))
             : Error(ErrorKind::invalid_argument,
                     fmt::format("{}: {} bytes are too many to be put back", path, size_bytes),
                     "export it without --in-place");
}

} // namespace

Result<SwtpmReturn> SwtpmReturn::prepare(const std::string& given) {
  const std::string image = device_of(given);
  std::optional<Folder> folder = Folder::open_for(image);
  if (!folder) {
    return change_error(image, "its folder cannot be opened", errno, "the folder");
  }
  SwtpmReturn place(*std::move(folder), fs::path(image).filename().string());
  if (!place.folder_.look_at(place.name_, place.image_)) {
    return errno == ENOENT ? Error(ErrorKind::absent, fmt::format("{}: it is not there", image))
                           : change_error(image, "cannot be looked at", errno);
  }
  if (!S_ISREG(place.image_.st_mode) && !S_ISBLK(place.image_.st_mode)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: it is neither a file nor a block device", image),
                 "of a link, name what it leads to");
  }
  place.version_ = S_ISREG(place.image_.st_mode) ? version_by_name(place.name_) : std::nullopt;
  if (place.version_) {
    Result<SwtpmLock> lock = SwtpmLock::take(place.folder_.path_of(SwtpmFolder::lock_name));
    if (!lock) {
      return lock.error();
    }
    place.folder_lock_ = *std::move(lock);
  }
  return place;
}

bool SwtpmReturn::is_same(const struct stat& other) const {
  return other.st_dev == image_.st_dev && other.st_ino == image_.st_ino &&
         other.st_rdev == image_.st_rdev;
}

Status SwtpmReturn::lock() {
  struct stat named {};
  if (version_) {
    return folder_.look_at(name_, named) && is_same(named)
               ? folder_lock_->check()
               : Error(ErrorKind::stale, fmt::format("{}: something else has its name", path()));
  }
  file_ = folder_.open_file(name_, O_RDWR | O_NOCTTY | (is_device() ? O_EXCL : 0));
  if (!file_.valid()) {
    return errno == EBUSY ? Error(ErrorKind::in_use, fmt::format("{}: it is in use", path()),
                                  "see what has it: lsblk, fuser")
                          : change_error(path(), "cannot be opened", errno);
  }
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fstat(file_.get(), &named) != 0 || !is_same(named)) {
    return Error(ErrorKind::stale, fmt::format("{}: something else has its name", path()));
  }
  if (::fcntl(file_.get(), F_OFD_SETLK, &whole) != 0) {
    return Error(ErrorKind::in_use, fmt::format("{}: another program has it", path()),
                 "shut its machine down first");
  }
  return {};
}

// ---- The image, kept

Status SwtpmReturn::give_second_name(const std::string& name) const {
  if (::linkat(folder_.fd(), name_.c_str(), folder_.fd(), name.c_str(), 0) == 0) {
    return folder_.sync(folder_.path_of(name));
  }
  auto bytes = read_stored_file(folder_, name_, size_max_bytes); // Where there are no links.
  return bytes ? write_new_files(folder_, {{.name = name, .bytes = *std::move(bytes)}})
               : bytes.error();
}

Result<std::string> SwtpmReturn::keep(const std::string& copy) {
  if (is_device()) {
    return copy_device(copy);
  }
  for (int number = 1; number <= names_max; ++number) {
    const std::string kept = name_ + ".vnvram" + (number == 1 ? "" : fmt::format(".{}", number));
    struct stat there {};
    const bool is_taken = folder_.look_at(kept, there);
    if (is_taken && !is_same(there)) { // The same: an earlier attempt was cut behind it.
      continue;
    }
    if (const Status done = is_taken ? Status() : give_second_name(kept); !done) {
      return done.error();
    }
    kept_in_ = folder_.open_again();
    kept_name_ = kept;
    return folder_.path_of(kept);
  }
  return Error(ErrorKind::exists, fmt::format("{}: too many images are kept beside it", path()),
               "remove those that nobody needs");
}

Result<std::string> SwtpmReturn::copy_device(const std::string& copy) {
  std::optional<Folder> folder = Folder::open_for(copy);
  if (!folder) {
    return change_error(copy, "its folder cannot be opened", errno, "the folder");
  }
  const Result<std::size_t> size_bytes = size_of(file_.get(), path());
  auto bytes = size_bytes ? read_stored_bytes(file_.get(), path(), 0, *size_bytes)
                          : Result<std::vector<std::byte>>(size_bytes.error());
  if (!bytes) {
    return bytes.error();
  }
  const std::string name = fs::path(copy).filename().string();
  if (const Status made = write_new_files(*folder, {{.name = name, .bytes = *std::move(bytes)}});
      !made) {
    return made.error();
  }
  kept_in_ = std::move(folder);
  kept_name_ = name;
  return copy;
}

void SwtpmReturn::drop_kept() const {
  if (kept_in_) {
    (void)::unlinkat(kept_in_->fd(), kept_name_.c_str(), 0);
  }
}

// ---- swtpm's

Status SwtpmReturn::put(TpmVersion version, const SwtpmStateFiles& states, bool& begun) {
  begun = false;
  if (version_) {
    return put_files(version, states, begun);
  }
  const Result<std::size_t> size_bytes = size_of(file_.get(), path());
  if (!size_bytes) {
    return size_bytes.error();
  }
  std::vector<std::byte> bytes = SwtpmLinearFile::compose(states);
  if (is_device() && bytes.size() > *size_bytes) {
    return Error(ErrorKind::no_space, fmt::format("{}: {} bytes are needed and there are {}",
                                                  path(), bytes.size(), *size_bytes));
  }
  bytes.resize(std::max(bytes.size(), *size_bytes)); // Nothing of the image stays behind it.
  if (is_device()) {
    return put_on_device(std::move(bytes), begun);
  }
  SwtpmStateFiles whole;
  whole.front() = std::move(bytes);
  return put_files(version, whole, begun);
}

Status SwtpmReturn::put_on_device(std::vector<std::byte> bytes, bool& begun) const {
  const std::span<const std::byte> all = bytes;
  const std::size_t first_bytes = std::min(opening_part_bytes, all.size());
  begun = true;
  const bool done = write_stored_bytes(file_.get(), all.subspan(first_bytes), first_bytes) &&
                    ::fsync(file_.get()) == 0 &&
                    write_stored_bytes(file_.get(), all.first(first_bytes), 0) &&
                    ::fsync(file_.get()) == 0;
  return done ? Status() : change_error(path(), "cannot be written", errno);
}

// The permanent one last, by the name that the image has until then. Of the others there may be
// some that are older than the image, which has what they held.
Status SwtpmReturn::put_files(TpmVersion version, const SwtpmStateFiles& states,
                              bool& begun) const {
  const std::optional<WorkFolder> work = WorkFolder::make(folder_, ".vnvram-new-");
  if (!work) {
    return change_error(path(), "cannot make a folder beside it", errno, "the folder");
  }
  constexpr std::array names = {"permanent", "volatile", "save"};
  for (std::size_t index = 0; index < states.size(); ++index) {
    if (!states.at(index)) {
      continue;
    }
    const UniqueFd file =
        work->folder().open_file(names.at(index), O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file.valid() || !write_stored_bytes(file.get(), *states.at(index), 0) ||
        !give_rights(file.get(), image_) || ::fsync(file.get()) != 0) {
      return change_error(path(), "what is to take its place cannot be written", errno);
    }
  }
  std::vector<std::string> named;
  const auto take_away = [&](int error) {
    for (const std::string& name : named) {
      (void)::unlinkat(folder_.fd(), name.c_str(), 0);
    }
    return change_error(path(), "its place cannot be taken", error, "the folder");
  };
  for (const TpmState state : {TpmState::volatile_state, TpmState::save_state}) {
    const auto index = static_cast<std::size_t>(state);
    const std::string name = SwtpmFolder::file_name(version, state);
    if (version_ && states.at(index)) {
      if (::renameat(work->folder().fd(), names.at(index), folder_.fd(), name.c_str()) != 0) {
        return take_away(errno);
      }
      named.push_back(name);
    } else if (version_ && ::unlinkat(folder_.fd(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return take_away(errno);
    }
  }
  struct stat there {};
  const bool stands = folder_.look_at(name_, there) && is_same(there);
  if (!stands || !folder_.sync(path()) ||
      ::renameat(work->folder().fd(), names.front(), folder_.fd(), name_.c_str()) != 0) {
    return take_away(stands ? errno : ESTALE);
  }
  begun = true;
  return folder_.sync(path());
}

} // namespace vnvram
