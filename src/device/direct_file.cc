#include "device/direct_file.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include <fmt/core.h>

#include "base/aligned_buffer.h"
#include "device/file_io.h"
#include "device/file_lock.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// Through /proc, so that it is the same file even when the path names another one by now, and so
/// that a block device's exclusive opening is not asked for twice.
void DirectFile::open(int buffered, Access access) {
  const std::string again = fmt::format("/proc/self/fd/{}", buffered);
  const int mode = access == Access::read_write ? O_RDWR : O_RDONLY;
  fd_ = UniqueFd(::open(again.c_str(), mode | O_CLOEXEC | O_DIRECT));
  works_ = fd_.valid();
}

Status DirectFile::lock(const std::string& name) {
  return works_.load() ? lock_writer(fd_.get(), name) : Status{};
}

void DirectFile::unlock() {
  if (fd_.valid()) {
    unlock_file(fd_.get());
  }
}

bool DirectFile::read(std::uint64_t offset_bytes, std::span<std::byte> buffer, int& error) {
  if (!works_.load()) {
    return false;
  }
  if (!is_block_aligned(buffer.data())) {
    AlignedBuffer copy(buffer.size());
    const bool done = read(offset_bytes, copy.span(), error);
    if (done) {
      std::copy(copy.span().begin(), copy.span().end(), buffer.begin());
    }
    return done;
  }
  const ssize_t count = read_once(fd_.get(), offset_bytes, buffer);
  error = count < 0 && errno != EINVAL ? errno : 0; // EINVAL: no direct reads here.
  return count == static_cast<ssize_t>(buffer.size());
}

std::size_t DirectFile::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data,
                                      int& error) {
  if (!works_.load()) {
    return 0;
  }
  if (is_block_aligned(data.data())) {
    return write_aligned(offset_bytes, data, error);
  }
  AlignedBuffer copy(data.size());
  std::copy(data.begin(), data.end(), copy.span().begin());
  return write_aligned(offset_bytes, copy.span(), error);
}

std::size_t DirectFile::write_aligned(std::uint64_t offset_bytes, std::span<const std::byte> data,
                                      int& error) {
  std::size_t done = 0;
  while (done < data.size() && done % block_size_bytes == 0) {
    const ssize_t count = write_once(fd_.get(), offset_bytes + done, data.subspan(done), RWF_DSYNC);
    if (count < 0 && errno == EINVAL) {
      works_ = false; // The file system opens with O_DIRECT and does not write with it.
      break;
    }
    error = count < 0 ? errno : 0;
    if (count <= 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

AsyncIo::Ends DirectFile::write_durable_and_read(std::uint64_t write_offset_bytes,
                                                 std::span<const std::byte> data,
                                                 std::uint64_t read_offset_bytes,
                                                 std::span<std::byte> buffer) {
  return async_io_.write_durable_and_read(fd_.get(), write_offset_bytes, data, read_offset_bytes,
                                          buffer);
}

std::int64_t DirectFile::read_while(std::uint64_t offset_bytes, std::span<std::byte> buffer,
                                    const std::function<void()>& meanwhile) {
  return async_io_.read_while(fd_.get(), offset_bytes, buffer, meanwhile);
}

} // namespace vnvram
