#include "device/file_io.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "vnvram/block_device.h"

namespace vnvram {

bool is_block_aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % block_size_bytes == 0;
}

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

ssize_t read_once(int fd, std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  ssize_t count = 0;
  do {
    count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset_bytes));
  } while (count < 0 && errno == EINTR);
  return count;
}

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

int read_all(int fd, std::uint64_t offset_bytes, std::span<std::byte> buffer,
             std::size_t& done_bytes) {
  done_bytes = 0;
  while (done_bytes < buffer.size()) {
    const ssize_t count = read_once(fd, offset_bytes + done_bytes, buffer.subspan(done_bytes));
    if (count <= 0) {
      return count < 0 ? errno : 0;
    }
    done_bytes += static_cast<std::size_t>(count);
  }
  return 0;
}

} // namespace vnvram
