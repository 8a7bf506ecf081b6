#include "anchor/file_anchor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <span>
#include <string_view>
#include <system_error>

#include <fmt/core.h>

#include "base/file_error.h"
#include "base/folder.h"
#include "base/hex.h"
#include "base/random_bytes.h"
#include "format/checksum.h"

namespace vnvram {
namespace {

using Slot = std::array<char, FileAnchor::slot_size_bytes>;

constexpr std::string_view first_word = "vnvram-anchor ";
constexpr std::size_t digits = 16; // Of a sequence, and of a checksum.
constexpr std::uint64_t sequence_max = std::uint64_t{1} << 62U;
constexpr mode_t created_mode = S_IRUSR | S_IWUSR;

std::uint64_t checksum_of(std::string_view text) {
  return format::checksum(std::as_bytes(std::span(text)), 0);
}

// "vnvram-anchor CHECKSUM SEQUENCE POINT", of which the checksum is of all that is behind it.
Slot slot_of(std::uint64_t sequence, const AnchorPoint& point) {
  Slot slot{};
  slot.fill(' ');
  slot.back() = '\n';
  const std::string checked = fmt::format("{:016x} {}", sequence, anchor_text(point));
  std::string padded = checked;
  padded.resize(slot.size() - first_word.size() - digits - 1, ' ');
  padded.back() = '\n';
  const std::string text = fmt::format("{}{:016x} {}", first_word, checksum_of(padded), padded);
  std::copy(text.begin(), text.end(), slot.begin());
  return slot;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number, 16);
  return error == std::errc() && last == end ? std::optional(number) : std::nullopt;
}

// Nothing if it was torn, or never written.
std::optional<std::string_view> checked_text(std::string_view slot) {
  if (!slot.starts_with(first_word)) {
    return std::nullopt;
  }
  slot.remove_prefix(first_word.size());
  const auto checksum = number_in(slot.substr(0, digits));
  slot.remove_prefix(digits + 1);
  return checksum && *checksum == checksum_of(slot) ? std::optional(slot) : std::nullopt;
}

bool is_blank(std::string_view slot) {
  return slot.find_first_not_of(" \n") == std::string_view::npos;
}

bool write_all(int fd, std::span<const char> bytes, std::uint64_t offset_bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
    if (count < 0 && errno != EINTR) {
      return false;
    }
    const auto done = static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    bytes = bytes.subspan(done);
    offset_bytes += done;
  }
  return true;
}

} // namespace

Error FileAnchor::failure(const std::string& what, int number) const {
  return change_error(name(), what, number, "the anchor's file");
}

Result<std::shared_ptr<FileAnchor>> FileAnchor::open(const std::string& path) {
  std::shared_ptr<FileAnchor> anchor(new FileAnchor(path));
  const Status opened = anchor->open_existing();
  if (!opened && opened.error().kind() != ErrorKind::absent) {
    return opened.error();
  }
  return anchor;
}

Status FileAnchor::open_existing() {
  constexpr int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  fd_.reset(::open(path_.c_str(), O_RDWR | flags));
  if (!fd_.valid() && (errno == EACCES || errno == EROFS || errno == EPERM)) {
    read_only_because_ = std::generic_category().message(errno);
    fd_.reset(::open(path_.c_str(), O_RDONLY | flags));
  }
  const int number = errno;
  struct stat status {};
  const bool is_link = !fd_.valid() && number == ELOOP;
  const bool is_no_file = !fd_.valid() && (number == EISDIR || number == ENXIO);
  if (!fd_.valid() && number == ENOENT) {
    return Error(ErrorKind::absent, fmt::format("{}: there is no such file", name()));
  }
  if (!is_link && !is_no_file && (!fd_.valid() || ::fstat(fd_.get(), &status) != 0)) {
    return failure("cannot be opened", number);
  }
  if (is_link || !S_ISREG(status.st_mode) || status.st_size != size_bytes) {
    fd_.reset();
    return Error(ErrorKind::foreign,
                 fmt::format("{}: {}, and no anchor", name(),
                             is_link ? "it is a symbolic link" : "it is something else"),
                 "name a file of its own; `anchor accept` makes it");
  }
  named_.emplace(fd_.get(), path_);
  return {};
}

Status FileAnchor::lock() {
  if (!fd_.valid() || !read_only_because_.empty()) {
    return {}; // Made by the first write, which locks it; or not to be written, which says why.
  }
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd_.get(), F_OFD_SETLK, &whole) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      return Error(ErrorKind::in_use, name() + ": in use for another image, or another process",
                   "an image has an anchor of its own; stop who uses this one first");
    }
    return failure("cannot be locked", errno);
  }
  is_locked_ = true;
  // What is read next may be in a cache only, of a process that has died: else the slot that is
  // overwritten could be the only one that is durable.
  if (::fdatasync(fd_.get()) != 0) {
    const Error error = failure("cannot be flushed", errno);
    unlock();
    return error;
  }
  return {};
}

void FileAnchor::unlock() {
  if (is_locked_) {
    struct flock whole {};
    whole.l_type = F_UNLCK;
    whole.l_whence = SEEK_SET;
    (void)::fcntl(fd_.get(), F_OFD_SETLK, &whole);
    is_locked_ = false;
  }
}

Result<std::optional<FileAnchor::Newest>> FileAnchor::find_newest() {
  Slots bytes{};
  const ssize_t count = ::pread(fd_.get(), bytes.data(), bytes.size(), 0);
  if (count != static_cast<ssize_t>(bytes.size())) {
    return count < 0 ? failure("cannot be read", errno)
                     : Error(ErrorKind::foreign, name() + ": it was cut off while it was open");
  }
  std::optional<Newest> newest;
  bool blank = true;
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const std::string_view text(bytes.data() + slot * slot_size_bytes, slot_size_bytes);
    blank = blank && is_blank(text);
    const auto checked = checked_text(text);
    const auto sequence = checked ? number_in(checked->substr(0, digits)) : std::nullopt;
    if (!sequence || *sequence > sequence_max || (newest && *sequence <= newest->sequence)) {
      continue;
    }
    std::string_view line = checked->substr(digits + 1);
    line = line.substr(0, line.find_last_not_of(" \n") + 1);
    newest = {.sequence = *sequence, .slot = slot, .text = std::string(line)};
  }
  if (!newest && !blank) {
    return Error(ErrorKind::foreign, name() + ": it holds something else, or is damaged",
                 "remove it if you know that it was this image's, and then: `anchor accept`");
  }
  return newest;
}

Result<std::optional<AnchorPoint>> FileAnchor::read() {
  if (!fd_.valid()) {
    return std::optional<AnchorPoint>();
  }
  const Result<std::optional<Newest>> newest = find_newest();
  if (!newest) {
    return newest.error();
  }
  if (!*newest) {
    return std::optional<AnchorPoint>();
  }
  const Result<AnchorPoint> point = parse_anchor((*newest)->text);
  if (!point) { // Its checksum fits: nobody's rot and no tear.
    return Error(point.error().kind(), fmt::format("{}: {}", name(), point.error().cause()),
                 point.error().remedy());
  }
  return std::optional(*point);
}

Status FileAnchor::write(const AnchorPoint& point) {
  if (!fd_.valid()) {
    return create(point);
  }
  if (!read_only_because_.empty()) {
    return Error(ErrorKind::read_only, fmt::format("{}: {}", name(), read_only_because_),
                 "give this user write access to the anchor's file");
  }
  if (const Status named = named_->check(fd_.get()); !named) {
    return Error(named.error().kind(), "anchor " + named.error().cause(),
                 "who opens the image next must find the anchor: put it back, or `anchor accept`");
  }
  // Read anew each time: what is overwritten is surely the older one.
  const Result<std::optional<Newest>> newest = find_newest();
  if (!newest) {
    return newest.error();
  }
  const std::size_t slot = *newest ? 1 - (*newest)->slot : 0;
  const Slot bytes = slot_of(*newest ? (*newest)->sequence + 1 : 1, point);
  if (!write_all(fd_.get(), bytes, slot * slot_size_bytes) || ::fdatasync(fd_.get()) != 0) {
    return failure("cannot be written", errno);
  }
  return {};
}

// Under another name first, so that whoever finds it finds all of it.
Status FileAnchor::create(const AnchorPoint& point) {
  std::uint64_t random = 0;
  const Status got_random = random_bytes(std::as_writable_bytes(std::span(&random, 1)));
  if (!got_random) {
    return got_random;
  }
  const std::string temporary = fmt::format("{}.{:016x}.new", path_, random);
  UniqueFd fd(
      ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, created_mode));
  if (!fd.valid()) {
    return failure("cannot be made", errno);
  }
  const Status written = write_new_file(fd.get(), point, temporary);
  if (!written) {
    (void)::unlink(temporary.c_str());
    return written;
  }
  const Status opened = open_existing();
  return opened ? lock() : opened;
}

Status FileAnchor::write_new_file(int fd, const AnchorPoint& point, const std::string& temporary) {
  Slots bytes{};
  const Slot first = slot_of(1, point);
  std::copy(first.begin(), first.end(), bytes.begin());
  std::fill(bytes.begin() + slot_size_bytes, bytes.end(), ' ');
  bytes.back() = '\n';
  if (!write_all(fd, bytes, 0) || ::fsync(fd) != 0) {
    return failure("cannot be written", errno);
  }
  // Never over one that is there by now.
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno != EINVAL || ::link(temporary.c_str(), path_.c_str()) != 0) {
      return errno == EEXIST
                 ? Error(ErrorKind::exists, name() + ": another one was made just now", "try again")
                 : failure("cannot be made", errno);
    }
    (void)::unlink(temporary.c_str()); // A file system that cannot rename so.
  }
  const std::optional<Folder> folder = Folder::open_for(path_);
  return folder ? folder->sync(name()) : failure("its folder cannot be flushed", errno);
}

} // namespace vnvram
