#include "device/file_device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/core.h>

#include "base/file_error.h"
#include "device/file_io.h"
#include "device/file_space.h"

namespace vnvram {
namespace {

constexpr std::size_t direct_read_min_bytes = std::size_t{128} << 10U;
// How long a file's name is taken for what it was: a look takes a hundredth of a commit. That the
// file has lost its last name is seen each time.
constexpr std::chrono::milliseconds name_known_for{10};

} // namespace

DeviceCapabilities FileDevice::capabilities() const {
  const bool writable = access_ == Access::read_write;
  // A file's blocks stay allocated for good: giving them back would make a later commit pay for
  // them, or fail.
  return {.write = writable,
          .resize = writable && !file_.block_special,
          .lock = true,
          .unseen_owners = unseen_owners_,
          .content_may_change = false,
          .remote = false,
          .read_beside_write = medium_reads_,
          .named = file_name_.has_value() && file_name_->known()};
}

Error FileDevice::failure(ErrorKind kind, const std::string& what, int error) {
  if (error == EBADE) { // What the kernel makes of a reservation conflict (BLK_STS_RESV_CONFLICT).
    return reserved_elsewhere(what);
  }
  if (error == EIO && has_lost_lock()) {
    return lock_lost(what);
  }
  // What a file server says of a file that is no more, and of all files when it has just started.
  if (error == ESTALE && !was_written_) {
    return {
        ErrorKind::absent,
        fmt::format("{}: {}: its server does not know it: it was removed, or is not exported yet",
                    path_, what),
        "try again; if it is gone there, the image has to come from a backup"};
  }
  if (error == ESTALE) {
    return {ErrorKind::stale,
            fmt::format("{}: {}: was removed while it was open, by another host or on its server",
                        path_, what),
            "it is gone there: the image has to come from a backup"};
  }
  return {kind, fmt::format("{}: {}: {}", path_, what, error_reason(error))};
}

Error FileDevice::failure_at(const char* verb, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes, int error) {
  return space_failure(fmt::format("cannot {} {} bytes at {}", verb, length_bytes, offset_bytes),
                       error);
}

// Where there may be no room; what to do about that is said.
Error FileDevice::space_failure(const std::string& what, int error) {
  const bool is_full = change_error_kind(error) == ErrorKind::no_space;
  return is_full ? change_error(path_, what, error) : failure(ErrorKind::io, what, error);
}

Result<std::uint64_t> FileDevice::size_bytes() {
  Result<std::uint64_t> size = measure(file_, path_);
  if (size) {
    size_bytes_ = *size;
  }
  return size;
}

Status FileDevice::check_range(const char* verb, std::uint64_t offset_bytes,
                               std::uint64_t length_bytes) const {
  const std::uint64_t size = size_bytes_.load();
  if (offset_bytes > size || length_bytes > size - offset_bytes) {
    return Error(ErrorKind::io, fmt::format("{}: cannot {} {} bytes at {}: it ends at {}", path_,
                                            verb, length_bytes, offset_bytes, size));
  }
  return {};
}

// A write beyond the end of a file would lengthen it again, and succeed, and one to a file without
// a name succeeds and is lost: asked before each. A block device refuses by itself.
Status FileDevice::check_there() {
  if (file_.block_special) {
    return {};
  }
  struct statx now = {}; // Nothing of its times: see measure().
  if (::statx(buffered(), "", AT_EMPTY_PATH, STATX_SIZE | STATX_NLINK, &now) < 0) {
    return failure(ErrorKind::io, "cannot tell its size", errno);
  }
  if (now.stx_size < size_bytes_.load()) {
    return Error(ErrorKind::io,
                 fmt::format("{}: it has shrunk from {} to {} bytes while it was open", path_,
                             size_bytes_.load(), now.stx_size),
                 "what was cut off is lost; restore the image from a backup");
  }
  return file_name_ ? file_name_->check_links(now.stx_nlink, buffered()) : Status{};
}

// What is acknowledged must be found by whoever comes next.
Status FileDevice::check_durable_is_found() {
  Status status = check_there();
  const auto now = std::chrono::steady_clock::now();
  if (status && file_name_ && now - name_checked_.load() > name_known_for) {
    status = file_name_->check_name(buffered());
    name_checked_ = now;
  }
  return status;
}

Status FileDevice::check_name() {
  if (!file_name_) {
    return {};
  }
  const Status found = file_name_->check(buffered());
  return found ? file_name_->check_not_moved() : found;
}

Status FileDevice::check_writable() const {
  if (access_ != Access::read_write) {
    return Error(ErrorKind::read_only, fmt::format("{}: opened read-only", path_));
  }
  return {};
}

Status FileDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  if (Status status = check_range("read", offset_bytes, buffer.size()); !status) {
    return status;
  }
  // Long reads (the ring, at an opening) are cut into small ones by the page cache when it is cold.
  const bool is_long = buffer.size() >= direct_read_min_bytes && is_block_aligned(buffer.data());
  int error = 0;
  if ((medium_reads_ || is_long) && read_directly(offset_bytes, buffer, error)) {
    return {};
  }
  if (error != 0 && medium_reads_) {
    return failure_at("read", offset_bytes, buffer.size(), error);
  }
  if (medium_reads_) { // Without O_DIRECT: what is there in the cache, and clean, goes first.
    (void)::posix_fadvise(buffered(), static_cast<off_t>(offset_bytes),
                          static_cast<off_t>(buffer.size()), POSIX_FADV_DONTNEED);
  }
  return read_buffered(offset_bytes, buffer);
}

// Who has lost the lock may still see who has it.
bool FileDevice::read_directly(std::uint64_t offset_bytes, std::span<std::byte> buffer,
                               int& error) {
  if (!lost_lock_.load() && direct_.read(offset_bytes, buffer, error)) {
    return true;
  }
  return (lost_lock_.load() || (error == EIO && has_lost_lock())) &&
         unlocked_.read(offset_bytes, buffer, error);
}

Status FileDevice::read_buffered(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  std::size_t done_bytes = 0;
  const int error = read_all(buffered(), offset_bytes, buffer, done_bytes);
  if (error != 0) {
    return failure_at("read", offset_bytes, buffer.size(), error);
  }
  if (done_bytes < buffer.size()) {
    return Error(ErrorKind::io, fmt::format("{}: ends at {}, it was cut short while open", path_,
                                            offset_bytes + done_bytes));
  }
  return {};
}

Status FileDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = check_range("write", offset_bytes, data.size()); !status) {
    return status;
  }
  if (Status status = check_there(); !status) {
    return status;
  }
  was_written_ = true;
  if (const int error = write_all(buffered(), offset_bytes, data, 0); error != 0) {
    return failure_at("write", offset_bytes, data.size(), error);
  }
  return {};
}

Status FileDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = check_range("durably write", offset_bytes, data.size()); !status) {
    return status;
  }
  if (Status status = check_durable_is_found(); !status) {
    return status;
  }
  was_written_ = true;
  int error = 0;
  const std::size_t done_bytes = direct_.write_durable(offset_bytes, data, error);
  if (error == 0) {
    error = write_all(buffered(), offset_bytes + done_bytes, data.subspan(done_bytes), RWF_DSYNC);
  }
  return error == 0 ? Status{} : failure_at("durably write", offset_bytes, data.size(), error);
}

AsyncIo::Ends FileDevice::begin_both(std::uint64_t write_offset_bytes,
                                     std::span<const std::byte> data,
                                     std::uint64_t read_offset_bytes, std::span<std::byte> buffer,
                                     Status& written) {
  if (file_.block_special) {
    const AsyncIo::Ends ends =
        direct_.write_durable_and_read(write_offset_bytes, data, read_offset_bytes, buffer);
    // What the kernel does after a direct write that it has waited for: a reader beside us may have
    // put the old content into the page cache meanwhile.
    (void)::posix_fadvise(buffered(), static_cast<off_t>(write_offset_bytes),
                          static_cast<off_t>(data.size()), POSIX_FADV_DONTNEED);
    return ends;
  }
  AsyncIo::Ends ends;
  ends.read = direct_.read_while(read_offset_bytes, buffer,
                                 [&] { written = write_durable(write_offset_bytes, data); });
  ends.written = written ? static_cast<std::int64_t>(data.size()) : -EIO;
  return ends;
}

Status FileDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                          std::span<const std::byte> data,
                                          std::uint64_t read_offset_bytes,
                                          std::span<std::byte> buffer) {
  if (!reads_directly() || !is_block_aligned(data.data()) || !is_block_aligned(buffer.data()) ||
      data.size() % block_size_bytes != 0 || buffer.size() % block_size_bytes != 0) {
    return BlockDevice::write_durable_and_read(write_offset_bytes, data, read_offset_bytes, buffer);
  }
  Status status = check_writable();
  if (status) {
    status = check_range("durably write", write_offset_bytes, data.size());
  }
  if (status) {
    status = check_range("read", read_offset_bytes, buffer.size());
  }
  if (!status) {
    return status;
  }
  was_written_ = true;
  const AsyncIo::Ends ends =
      begin_both(write_offset_bytes, data, read_offset_bytes, buffer, status);
  if (!status) {
    return status;
  }
  // What was not begun, or not done in full, is done now, in the ordinary way.
  const auto missed = [](std::int64_t end) { return end >= 0 || end == -EAGAIN || end == -EINVAL; };
  if (ends.written != static_cast<std::int64_t>(data.size())) {
    status = missed(ends.written) ? write_durable(write_offset_bytes, data)
                                  : failure_at("durably write", write_offset_bytes, data.size(),
                                               static_cast<int>(-ends.written));
  }
  if (status && ends.read != static_cast<std::int64_t>(buffer.size())) {
    status = missed(ends.read) ? read(read_offset_bytes, buffer)
                               : failure_at("read", read_offset_bytes, buffer.size(),
                                            static_cast<int>(-ends.read));
  }
  return status;
}

Status FileDevice::flush() {
  // Never retried, not even after EINTR: the kernel may have dropped the pages that it could not
  // write, and a second call would then succeed for nothing.
  if (::fdatasync(buffered()) < 0) {
    const int error = errno; // Of a write-back that was refused only that it has failed.
    return failure(ErrorKind::io, "cannot flush",
                   reservation_ && reservation_->is_lost() ? EBADE : error);
  }
  return {};
}

Status FileDevice::resize(std::uint64_t size_bytes) {
  if (Status status = check_writable(); !status) {
    return status;
  }
  const Result<std::uint64_t> current = this->size_bytes();
  if (!current) {
    return current.error();
  }
  if (size_bytes == *current) {
    return {};
  }
  if (size_bytes < *current) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: cannot shrink from {} to {} bytes", path_, *current, size_bytes));
  }
  if (file_.block_special) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}: a block device of {} bytes cannot be grown from here", path_, *current),
        "grow the device itself first");
  }
  if (Status status = grow_file(*current, size_bytes); !status) {
    // Back to what it was; if that fails too, the next size_bytes() tells.
    (void)!::ftruncate(buffered(), static_cast<off_t>(*current));
    return status;
  }
  size_bytes_ = size_bytes;
  return {};
}

/// Reserved first, which fails quickly when there is no room; then written, because the first write
/// into space that is only reserved changes the file system's own data and is slower.
Status FileDevice::grow_file(std::uint64_t old_size_bytes, std::uint64_t new_size_bytes) {
  const auto failed = [&](int error) {
    return space_failure(
        fmt::format("cannot grow from {} to {} bytes", old_size_bytes, new_size_bytes), error);
  };
  if (::fallocate(buffered(), 0, static_cast<off_t>(old_size_bytes),
                  static_cast<off_t>(new_size_bytes - old_size_bytes)) < 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS) {
    return failed(errno);
  }
  const std::vector<std::byte> zeros(std::size_t{1} << 20U);
  for (std::uint64_t offset = old_size_bytes; offset < new_size_bytes;) {
    const std::uint64_t length = std::min<std::uint64_t>(zeros.size(), new_size_bytes - offset);
    const int error =
        write_all(buffered(), offset, std::span(zeros).first(static_cast<std::size_t>(length)), 0);
    if (error != 0) {
      return failed(error);
    }
    offset += length;
  }
  return {};
}

Status FileDevice::reserve_space(const ByteRange& range) {
  const std::uint64_t size_bytes = size_bytes_.load();
  if (file_.block_special || range.offset_bytes >= size_bytes) {
    return {};
  }
  const ByteRange there = {range.offset_bytes,
                           std::min(range.length_bytes, size_bytes - range.offset_bytes)};
  return reserve_file_space(buffered(), path_, there, MissingSpace::written);
}

} // namespace vnvram
