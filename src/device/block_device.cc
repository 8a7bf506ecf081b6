#include "vnvram/block_device.h"

namespace vnvram {

// One after the other. The read comes last: what it sees is never older than the write.
Status BlockDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                           std::span<const std::byte> data,
                                           std::uint64_t read_offset_bytes,
                                           std::span<std::byte> buffer) {
  const Status written = write_durable(write_offset_bytes, data);
  return written ? read(read_offset_bytes, buffer) : written;
}

Status BlockDevice::shut_out_owner() {
  return Error(ErrorKind::unsupported, name() + ": nothing here refuses an owner's writes");
}

} // namespace vnvram
