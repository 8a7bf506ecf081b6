#include "device/file_space.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "device/file_io.h"

namespace vnvram {
namespace {

constexpr std::uint64_t step_bytes = std::uint64_t{1} << 20U;

/// The first hole from offset_bytes on; nullopt: none, or the file system does not say.
std::optional<ByteRange> next_hole(int fd, std::uint64_t offset_bytes, std::uint64_t end_bytes) {
  const off_t hole = ::lseek(fd, static_cast<off_t>(offset_bytes), SEEK_HOLE);
  if (hole < 0 || static_cast<std::uint64_t>(hole) >= end_bytes) {
    return std::nullopt;
  }
  const off_t data = ::lseek(fd, hole, SEEK_DATA);
  const std::uint64_t begin = static_cast<std::uint64_t>(hole);
  const std::uint64_t end =
      data < 0 ? end_bytes : std::min(static_cast<std::uint64_t>(data), end_bytes);
  return end > begin ? std::optional<ByteRange>({begin, end - begin}) : std::nullopt;
}

/// The extents from offset_bytes on that another file has, too, as many as one question finds;
/// `offset_bytes` is moved behind what was looked at. None where the file system does not say.
std::vector<ByteRange> shared_extents(int fd, std::uint64_t& offset_bytes,
                                      std::uint64_t end_bytes) {
  constexpr std::size_t extent_count_max = 64;
  fiemap head; // With an array of no length behind it, which clang lets nobody initialise.
  std::memset(&head, 0, sizeof(head));
  head.fm_start = offset_bytes;
  head.fm_length = end_bytes - offset_bytes;
  head.fm_extent_count = extent_count_max;
  // The answer follows its head; both are made of numbers of 8 bytes at most.
  std::vector<std::uint64_t> question((sizeof(head) + extent_count_max * sizeof(fiemap_extent)) /
                                      sizeof(std::uint64_t));
  std::memcpy(question.data(), &head, sizeof(head));
  offset_bytes = end_bytes;
  if (::ioctl(fd, FS_IOC_FIEMAP, question.data()) < 0) {
    return {};
  }
  std::memcpy(&head, question.data(), sizeof(head));
  std::array<fiemap_extent, extent_count_max> extents = {};
  std::memcpy(extents.data(), question.data() + sizeof(head) / sizeof(std::uint64_t),
              sizeof(extents));
  std::vector<ByteRange> shared;
  for (std::size_t index = 0; index < std::min<std::size_t>(head.fm_mapped_extents, extents.size());
       ++index) {
    const fiemap_extent& extent = extents.at(index);
    const std::uint64_t begin = std::max<std::uint64_t>(extent.fe_logical, head.fm_start);
    const std::uint64_t end =
        std::min<std::uint64_t>(extent.fe_logical + extent.fe_length, end_bytes);
    if ((extent.fe_flags & FIEMAP_EXTENT_SHARED) != 0 && begin < end) {
      shared.push_back({begin, end - begin});
    }
    if (index + 1 == extents.size() && (extent.fe_flags & FIEMAP_EXTENT_LAST) == 0) {
      offset_bytes = end; // There are more.
    }
  }
  return shared;
}

/// One file's reservation.
class Reservation {
public:
  Reservation(int fd, const std::string& path, MissingSpace missing)
      : fd_(fd), path_(path), missing_(missing) {}

  Status fill_holes(const ByteRange& range);
  Status unshare(const ByteRange& range);
  Status make_durable() const;

private:
  [[nodiscard]] Error failure(const ByteRange& range, int error) const;
  /// `mode`: fallocate's. 0 or an errno; EOPNOTSUPP where the file system has no such call.
  [[nodiscard]] int allocate(const ByteRange& range, int mode) const;
  /// The same bytes once more; 0 or an errno.
  [[nodiscard]] int rewrite(const ByteRange& range) const;
  Status reserve(const ByteRange& range, int mode);

  const int fd_;
  const std::string& path_;
  const MissingSpace missing_;
  bool changed_ = false;
};

Error Reservation::failure(const ByteRange& range, int error) const {
  const std::string reason = std::generic_category().message(error);
  const std::string what =
      fmt::format("{}: {} bytes at {} have no space on its file system (a sparse copy?), and none "
                  "can be reserved: {}",
                  path_, range.length_bytes, range.offset_bytes, reason);
  if (error == ENOSPC || error == EDQUOT) {
    return {ErrorKind::no_space, what,
            "make room there, then open it again; --space warn, and space=warn for nbdkit, goes on "
            "until a commit fails"};
  }
  if (error == EOPNOTSUPP || error == ENOSYS) {
    return {
        ErrorKind::unsupported, what,
        "copy it without holes (cp --sparse=never); --space warn, and space=warn for nbdkit, goes "
        "on without"};
  }
  return {ErrorKind::io, what};
}

int Reservation::allocate(const ByteRange& range, int mode) const {
  int result = 0;
  do {
    result = ::fallocate(fd_, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset_bytes),
                         static_cast<off_t>(range.length_bytes));
  } while (result < 0 && errno == EINTR);
  const bool no_such_call = result < 0 && (errno == ENOSYS || errno == EINVAL || errno == ENOTTY);
  return result == 0 ? 0 : no_such_call ? EOPNOTSUPP : errno;
}

int Reservation::rewrite(const ByteRange& range) const {
  std::vector<std::byte> bytes(std::min(range.length_bytes, step_bytes));
  int error = 0;
  for (std::uint64_t done = 0; error == 0 && done < range.length_bytes; done += bytes.size()) {
    const ByteRange step = {range.offset_bytes + done,
                            std::min<std::uint64_t>(bytes.size(), range.length_bytes - done)};
    const auto part = std::span(bytes).first(step.length_bytes);
    std::size_t done_bytes = 0;
    error = read_all(fd_, step.offset_bytes, part, done_bytes);
    if (error == 0 && done_bytes < part.size()) {
      error = EIO; // It ends before.
    }
    error = error == 0 ? write_all(fd_, step.offset_bytes, part, 0) : error;
  }
  return error;
}

// Allocated first, which fails at once and changes nothing when there is no room. Then written: the
// first write into space that is only allocated is slower, and a hole to whoever looks for holes.
Status Reservation::reserve(const ByteRange& range, int mode) {
  changed_ = true;
  int error = allocate(range, mode);
  if (missing_ == MissingSpace::written && (error == 0 ? mode == 0 : error == EOPNOTSUPP)) {
    error = rewrite(range);
  }
  return error == 0 ? Status{} : failure(range, error);
}

Status Reservation::fill_holes(const ByteRange& range) {
  std::uint64_t at = range.offset_bytes;
  while (const std::optional<ByteRange> hole = next_hole(fd_, at, range.end_bytes())) {
    if (const Status reserved = reserve(*hole, 0); !reserved) {
      return reserved;
    }
    at = hole->end_bytes();
  }
  return {};
}

Status Reservation::unshare(const ByteRange& range) {
  std::uint64_t at = range.offset_bytes;
  while (at < range.end_bytes()) {
    for (const ByteRange& extent : shared_extents(fd_, at, range.end_bytes())) {
      const Status reserved = reserve(extent, FALLOC_FL_UNSHARE_RANGE);
      // Where only writing gives a file its own space, the writes to come may fail for it; that is
      // so for every one of them on such a file system.
      if (!reserved && reserved.error().kind() != ErrorKind::unsupported) {
        return reserved;
      }
    }
  }
  return {};
}

// Where space is found when the data is written back, this is where it is missing.
Status Reservation::make_durable() const {
  if (!changed_ || ::fdatasync(fd_) == 0) {
    return {};
  }
  const int error = errno;
  return Error(error == ENOSPC || error == EDQUOT ? ErrorKind::no_space : ErrorKind::io,
               fmt::format("{}: cannot make its reserved space durable: {}", path_,
                           std::generic_category().message(error)));
}

} // namespace

Status reserve_file_space(int fd, const std::string& path, const ByteRange& range,
                          MissingSpace missing) {
  Reservation reservation(fd, path, missing);
  Status done = reservation.fill_holes(range);
  done = done ? reservation.unshare(range) : done;
  return done ? reservation.make_durable() : done;
}

MissingBytes missing_file_space(int fd, const ByteRange& range) {
  MissingBytes missing;
  std::uint64_t at = range.offset_bytes;
  while (const std::optional<ByteRange> hole = next_hole(fd, at, range.end_bytes())) {
    missing.holes += hole->length_bytes;
    at = hole->end_bytes();
  }
  at = range.offset_bytes;
  while (at < range.end_bytes()) {
    for (const ByteRange& extent : shared_extents(fd, at, range.end_bytes())) {
      missing.shared += extent.length_bytes;
    }
  }
  return missing;
}

} // namespace vnvram
