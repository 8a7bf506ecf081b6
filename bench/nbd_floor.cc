#include "bench/nbd_floor.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "vnvram/block_device.h"

namespace vnvram::bench {

NbdFloor::NbdFloor(const std::string& uri, std::uint64_t offset_bytes, std::uint64_t size_bytes)
    : handle_(nbd_create()), begin_bytes_(offset_bytes), size_bytes_(size_bytes),
      block_(block_size_bytes) {
  if (!handle_ || nbd_connect_uri(handle_.get(), uri.c_str()) != 0) {
    throw std::runtime_error(nbd_get_error());
  }
  std::fill(block_.span().begin(), block_.span().end(), std::byte{0x5A});
  for (std::uint64_t done = 0; done < size_bytes_; done += block_size_bytes) {
    write(); // As the ring's blocks, these have been written before.
  }
}

void NbdFloor::write() {
  ++count_;
  std::memcpy(block_.span().data(), &count_, sizeof count_);
  const std::uint64_t offset_bytes = begin_bytes_ + count_ * block_size_bytes % size_bytes_;
  if (nbd_pwrite(handle_.get(), block_.span().data(), block_size_bytes, offset_bytes,
                 LIBNBD_CMD_FLAG_FUA) != 0) {
    throw std::runtime_error(nbd_get_error());
  }
}

} // namespace vnvram::bench
