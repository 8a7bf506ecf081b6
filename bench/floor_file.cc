#include "bench/floor_file.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace vnvram::bench {

FloorFile::FloorFile(const std::string& directory, std::uint64_t size_bytes)
    : path_(directory + "/floor"), size_bytes_(size_bytes),
      buffered_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)),
      direct_(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_DIRECT)), block_(block_size_bytes) {
  const std::vector<std::byte> content(size_bytes);
  if (!buffered_.valid() ||
      ::pwrite(buffered_.get(), content.data(), content.size(), 0) !=
          static_cast<ssize_t>(content.size()) ||
      ::fsync(buffered_.get()) != 0) {
    throw std::runtime_error("cannot make " + path_);
  }
  std::fill(block_.span().begin(), block_.span().end(), std::byte{0x5A});
}

FloorFile::~FloorFile() {
  ::unlink(path_.c_str());
}

void FloorFile::write(int fd) {
  ++count_;
  std::memcpy(block_.span().data(), &count_, sizeof count_);
  struct iovec vector = {.iov_base = block_.span().data(), .iov_len = block_size_bytes};
  if (::pwritev2(fd, &vector, 1, static_cast<off_t>(offset_bytes_), RWF_DSYNC) !=
      static_cast<ssize_t>(block_size_bytes)) {
    throw std::runtime_error("cannot write " + path_);
  }
  offset_bytes_ = (offset_bytes_ + block_size_bytes) % size_bytes_;
}

} // namespace vnvram::bench
