#include "device/file_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "base/aligned_buffer.h"
#include "base/barrier.h"
#include "base/file_error.h"
#include "device/file_lock.h"
#include "device/file_space.h"
#include "device/hidden_writes.h"

namespace vnvram {
namespace {

constexpr std::size_t direct_read_bytes_min = std::size_t{128} << 10U;
// How long a file's name is taken for what it was: a look takes a hundredth of a commit. That the
// file has lost its last name is seen each time.
constexpr std::chrono::milliseconds name_known_for{10};

std::string reason(int error) {
  return std::generic_category().message(error);
}

bool is_aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % block_size_bytes == 0;
}

/// One pwritev2; the count of bytes written, or -1 and errno.
ssize_t write_once(int fd, std::uint64_t offset_bytes, std::span<const std::byte> data, int flags) {
  struct iovec vector = {};
  vector.iov_base = const_cast<std::byte*>(data.data()); // The interface is shared with reading.
  vector.iov_len = data.size();
  ssize_t count = 0;
  do {
    count = ::pwritev2(fd, &vector, 1, static_cast<off_t>(offset_bytes), flags);
  } while (count < 0 && errno == EINTR);
  return count;
}

/// Writes all of it, in as many steps as the kernel likes; 0 or an errno.
int write_all(int fd, std::uint64_t offset_bytes, std::span<const std::byte> data, int flags) {
  while (!data.empty()) {
    const ssize_t count = write_once(fd, offset_bytes, data, flags);
    if (count <= 0) {
      return count < 0 ? errno : EIO;
    }
    data = data.subspan(static_cast<std::size_t>(count));
    offset_bytes += static_cast<std::uint64_t>(count);
  }
  return 0;
}

Result<std::uint64_t> measure(int fd, bool block_special, const std::string& path) {
  std::uint64_t size_bytes = 0;
  struct statx status = {};
  // Only the size: whoever asks for a file's times makes its next write change them, on a file
  // system with fine-grained times, and that write's durability then costs half as much again.
  if (block_special ? ::ioctl(fd, BLKGETSIZE64, &size_bytes) < 0
                    : ::statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) < 0) {
    return Error(ErrorKind::io, fmt::format("{}: cannot tell its size: {}", path, reason(errno)));
  }
  return block_special ? size_bytes : status.stx_size;
}

Error open_error(const std::string& path, Access access, bool block_special, int error) {
  std::string cause = fmt::format("{}: cannot open: {}", path, reason(error));
  if (error == ENOENT || error == ENOTDIR || error == ENXIO) {
    return {ErrorKind::absent, std::move(cause), "check the path, or create the image"};
  }
  if (error == EBUSY && block_special) {
    return {ErrorKind::in_use, std::move(cause),
            "unmount it, or stop the program that has it open"};
  }
  if (access == Access::read_write) {
    return change_error(path, "cannot open for writing", error);
  }
  return {ErrorKind::io, std::move(cause),
          error == EACCES ? "give this user read access to it" : ""};
}

} // namespace

FileDevice::FileDevice(std::string path, UniqueFd fd, Access access, bool block_special)
    : path_(std::move(path)), buffered_(std::move(fd)), access_(access),
      block_special_(block_special),
      medium_reads_(kept(Barrier::medium_reads) && cache_may_hide_writes(buffered_.get())) {}

Result<std::unique_ptr<FileDevice>> FileDevice::open(const std::string& path, Access access) {
  // Looked at first: opening a pipe would wait for its other end.
  struct stat status = {};
  if (::stat(path.c_str(), &status) < 0) {
    return open_error(path, access, false, errno);
  }
  const bool block_special = S_ISBLK(status.st_mode);
  if (!block_special && !S_ISREG(status.st_mode)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: neither a regular file nor a block device", path));
  }
  int flags = O_CLOEXEC | (access == Access::read_write ? O_RDWR : O_RDONLY);
  if (block_special && access == Access::read_write) {
    flags |= O_EXCL; // On a block device, without O_CREAT: no mount and no second exclusive opener.
  }
  UniqueFd fd(::open(path.c_str(), flags));
  if (!fd.valid()) {
    return open_error(path, access, block_special, errno);
  }
  struct stat opened = {};
  if (::fstat(fd.get(), &opened) < 0 || (opened.st_mode & S_IFMT) != (status.st_mode & S_IFMT)) {
    return Error(ErrorKind::io, fmt::format("{}: was replaced while it was opened", path),
                 "try again");
  }
  int read_only = 0; // A block device that is set read-only may still open for writing.
  if (block_special && access == Access::read_write &&
      ::ioctl(fd.get(), BLKROGET, &read_only) == 0 && read_only != 0) {
    return Error(ErrorKind::read_only, fmt::format("{}: the device is set read-only", path),
                 "blockdev --setrw allows writing to it");
  }
  std::unique_ptr<FileDevice> device(new FileDevice(path, std::move(fd), access, block_special));
  if (Result<std::uint64_t> size = device->size_bytes(); !size) {
    return size.error();
  }
  // No read-ahead: it would fill the page cache with large folios that span what is read and what
  // is written directly beside it, and the engine keeps its own cache.
  (void)::posix_fadvise(device->buffered_.get(), 0, 0, POSIX_FADV_RANDOM);
  if (access == Access::read_write || device->medium_reads_) {
    device->open_direct();
  }
  if (access == Access::read_write && !block_special) {
    device->file_name_.emplace(device->buffered_.get(), path);
  }
  return device;
}

/// Through /proc, so that it is the same file even when the path names another one by now, and so
/// that a block device's exclusive opening is not asked for twice.
void FileDevice::open_direct() {
  const std::string again = fmt::format("/proc/self/fd/{}", buffered_.get());
  const int access = access_ == Access::read_write ? O_RDWR : O_RDONLY;
  direct_ = UniqueFd(::open(again.c_str(), access | O_CLOEXEC | O_DIRECT));
  direct_works_ = direct_.valid();
}

DeviceCapabilities FileDevice::capabilities() const {
  const bool writable = access_ == Access::read_write;
  // A file's blocks stay allocated for good: giving them back would make a later commit pay for
  // them, or fail.
  return {.write = writable,
          .discard = writable && block_special_,
          .resize = writable && !block_special_,
          .lock = true,
          .content_may_change = false,
          .remote = false,
          .read_beside_write = medium_reads_,
          .named = file_name_.has_value() && file_name_->known()};
}

Error FileDevice::failure(ErrorKind kind, const std::string& what, int error) const {
  return {kind, fmt::format("{}: {}: {}", path_, what, reason(error))};
}

Error FileDevice::failure_at(const char* verb, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes, int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return failure(full ? ErrorKind::no_space : ErrorKind::io,
                 fmt::format("cannot {} {} bytes at {}", verb, length_bytes, offset_bytes), error);
}

Result<std::uint64_t> FileDevice::size_bytes() {
  Result<std::uint64_t> size = measure(buffered_.get(), block_special_, path_);
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
Status FileDevice::check_there() const {
  if (block_special_) {
    return {};
  }
  struct statx now = {}; // Nothing of its times: see measure().
  if (::statx(buffered_.get(), "", AT_EMPTY_PATH, STATX_SIZE | STATX_NLINK, &now) < 0) {
    return failure(ErrorKind::io, "cannot tell its size", errno);
  }
  if (now.stx_size < size_bytes_.load()) {
    return Error(ErrorKind::io,
                 fmt::format("{}: it has shrunk from {} to {} bytes while it was open", path_,
                             size_bytes_.load(), now.stx_size),
                 "what was cut off is lost; restore the image from a backup");
  }
  return file_name_ ? file_name_->check_links(now.stx_nlink, buffered_.get()) : Status{};
}

// What is acknowledged must be found by whoever comes next.
Status FileDevice::check_durable_is_found() {
  Status status = check_there();
  const auto now = std::chrono::steady_clock::now();
  if (status && file_name_ && now - name_checked_.load() > name_known_for) {
    status = file_name_->check_name(buffered_.get());
    name_checked_ = now;
  }
  return status;
}

Status FileDevice::check_name() {
  if (!file_name_) {
    return {};
  }
  const Status found = file_name_->check(buffered_.get());
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
  const bool is_long = buffer.size() >= direct_read_bytes_min && is_aligned(buffer.data());
  int error = 0;
  if ((medium_reads_ || is_long) && read_directly(offset_bytes, buffer, error)) {
    return {};
  }
  if (error != 0 && medium_reads_) {
    return failure_at("read", offset_bytes, buffer.size(), error);
  }
  if (medium_reads_) { // Without O_DIRECT: what is there in the cache, and clean, goes first.
    (void)::posix_fadvise(buffered_.get(), static_cast<off_t>(offset_bytes),
                          static_cast<off_t>(buffer.size()), POSIX_FADV_DONTNEED);
  }
  return read_buffered(offset_bytes, buffer);
}

/// False without an `error`: it is to be read in the other way.
bool FileDevice::read_directly(std::uint64_t offset_bytes, std::span<std::byte> buffer,
                               int& error) {
  if (!direct_works_.load()) {
    return false;
  }
  if (!is_aligned(buffer.data())) {
    AlignedBuffer copy(buffer.size());
    const bool read = read_directly(offset_bytes, copy.span(), error);
    if (read) {
      std::copy(copy.span().begin(), copy.span().end(), buffer.begin());
    }
    return read;
  }
  ssize_t count = 0;
  do {
    count = ::pread(direct_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset_bytes));
  } while (count < 0 && errno == EINTR);
  error = count < 0 && errno != EINVAL ? errno : 0; // EINVAL: no direct reads here.
  return count == static_cast<ssize_t>(buffer.size());
}

Status FileDevice::read_buffered(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t count = ::pread(buffered_.get(), buffer.data() + done, buffer.size() - done,
                                  static_cast<off_t>(offset_bytes + done));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return failure_at("read", offset_bytes, buffer.size(), errno);
    }
    if (count == 0) {
      return Error(ErrorKind::io, fmt::format("{}: ends at {}, it was cut short while open", path_,
                                              offset_bytes + done));
    }
    done += static_cast<std::size_t>(count);
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
  if (const int error = write_all(buffered_.get(), offset_bytes, data, 0); error != 0) {
    return failure_at("write", offset_bytes, data.size(), error);
  }
  return {};
}

/// How many of the bytes were written directly and durably. Fewer than all is no failure: the
/// caller writes the rest through the page cache.
Result<std::size_t> FileDevice::write_direct(std::uint64_t offset_bytes,
                                             std::span<const std::byte> data) {
  std::size_t done = 0;
  while (done < data.size() && done % block_size_bytes == 0) {
    const ssize_t count =
        write_once(direct_.get(), offset_bytes + done, data.subspan(done), RWF_DSYNC);
    if (count < 0 && errno == EINVAL) {
      direct_works_ = false; // The file system opens with O_DIRECT and does not write with it.
      break;
    }
    if (count < 0) {
      return failure_at("durably write", offset_bytes, data.size(), errno);
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
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
  std::size_t done = 0;
  if (direct_works_.load()) {
    Result<std::size_t> direct = 0;
    if (is_aligned(data.data())) {
      direct = write_direct(offset_bytes, data);
    } else {
      AlignedBuffer copy(data.size());
      std::copy(data.begin(), data.end(), copy.span().begin());
      direct = write_direct(offset_bytes, copy.span());
    }
    if (!direct) {
      return direct.error();
    }
    done = *direct;
  }
  const int error = write_all(buffered_.get(), offset_bytes + done, data.subspan(done), RWF_DSYNC);
  if (error != 0) {
    return failure_at("durably write", offset_bytes, data.size(), error);
  }
  return {};
}

AsyncIo::Ends FileDevice::begin_both(std::uint64_t write_offset_bytes,
                                     std::span<const std::byte> data,
                                     std::uint64_t read_offset_bytes, std::span<std::byte> buffer,
                                     Status& written) {
  const int fd = direct_.get();
  if (block_special_) {
    const AsyncIo::Ends ends =
        async_io_.write_durable_and_read(fd, write_offset_bytes, data, read_offset_bytes, buffer);
    // What the kernel does after a direct write that it has waited for: a reader beside us may have
    // put the old content into the page cache meanwhile.
    (void)::posix_fadvise(buffered_.get(), static_cast<off_t>(write_offset_bytes),
                          static_cast<off_t>(data.size()), POSIX_FADV_DONTNEED);
    return ends;
  }
  AsyncIo::Ends ends;
  ends.read = async_io_.read_while(fd, read_offset_bytes, buffer,
                                   [&] { written = write_durable(write_offset_bytes, data); });
  ends.written = written ? static_cast<std::int64_t>(data.size()) : -EIO;
  return ends;
}

Status FileDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                          std::span<const std::byte> data,
                                          std::uint64_t read_offset_bytes,
                                          std::span<std::byte> buffer) {
  if (!reads_directly() || !is_aligned(data.data()) || !is_aligned(buffer.data()) ||
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
  if (::fdatasync(buffered_.get()) < 0) {
    return failure(ErrorKind::io, "cannot flush", errno);
  }
  return {};
}

Status FileDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = check_range("discard", offset_bytes, length_bytes); !status) {
    return status;
  }
  if (!block_special_) {
    return {};
  }
  std::array<std::uint64_t, 2> range = {offset_bytes, length_bytes};
  if (::ioctl(buffered_.get(), BLKDISCARD, range.data()) < 0 && errno != EOPNOTSUPP) {
    return failure_at("discard", offset_bytes, length_bytes, errno);
  }
  return {}; // It is a hint: a device that cannot do it has done what was asked.
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
  if (block_special_) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}: a block device of {} bytes cannot be grown from here", path_, *current),
        "grow the device itself first");
  }
  if (Status status = grow_file(*current, size_bytes); !status) {
    // Back to what it was; if that fails too, the next size_bytes() tells.
    (void)!::ftruncate(buffered_.get(), static_cast<off_t>(*current));
    return status;
  }
  size_bytes_ = size_bytes;
  return {};
}

/// Reserved first, which fails quickly when there is no room; then written, because the first write
/// into space that is only reserved changes the file system's own data and is slower.
Status FileDevice::grow_file(std::uint64_t old_size_bytes, std::uint64_t new_size_bytes) {
  const auto failed = [&](int error) {
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return failure(full ? ErrorKind::no_space : ErrorKind::io,
                   fmt::format("cannot grow from {} to {} bytes", old_size_bytes, new_size_bytes),
                   error);
  };
  if (::fallocate(buffered_.get(), 0, static_cast<off_t>(old_size_bytes),
                  static_cast<off_t>(new_size_bytes - old_size_bytes)) < 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS) {
    return failed(errno);
  }
  const std::vector<std::byte> zeros(std::size_t{1} << 20U);
  for (std::uint64_t offset = old_size_bytes; offset < new_size_bytes;) {
    const std::uint64_t length = std::min<std::uint64_t>(zeros.size(), new_size_bytes - offset);
    const int error = write_all(buffered_.get(), offset,
                                std::span(zeros).first(static_cast<std::size_t>(length)), 0);
    if (error != 0) {
      return failed(error);
    }
    offset += length;
  }
  return {};
}

Status FileDevice::reserve_space(const ByteRange& range) {
  const std::uint64_t size_bytes = size_bytes_.load();
  if (block_special_ || range.offset_bytes >= size_bytes) {
    return {};
  }
  const ByteRange there = {range.offset_bytes,
                           std::min(range.length_bytes, size_bytes - range.offset_bytes)};
  return reserve_file_space(buffered_.get(), path_, there, MissingSpace::written);
}

/// A file that was replaced under its name between opening and locking is nobody's image any more:
/// what is written to it would be lost with this process.
Status FileDevice::check_still_named() const {
  struct stat named = {};
  struct stat opened = {};
  if (::fstat(buffered_.get(), &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
      named.st_dev == opened.st_dev && named.st_ino == opened.st_ino) {
    return {};
  }
  return Error(ErrorKind::in_use, fmt::format("{}: was replaced while it was opened", path_),
               "open it again");
}

Status FileDevice::lock_for_writing() {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = lock_file(buffered_.get(), path_); !status) {
    return status;
  }
  Status status = check_still_named();
  if (status) {
    status = drop_cache();
  }
  if (!status) {
    unlock();
  }
  return status;
}

/// After a failed write-back the kernel keeps the pages and calls them clean: an owner before us
/// may have left bytes in the page cache that the disk does not have, and no flush would put them
/// there. What the new owner recovers from must be what the disk holds.
Status FileDevice::drop_cache() {
  if (Status status = flush(); !status) {
    return status;
  }
  if (kept(Barrier::drop_cache)) {
    (void)::posix_fadvise(buffered_.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
  return {};
}

void FileDevice::unlock() {
  unlock_file(buffered_.get());
}

} // namespace vnvram
