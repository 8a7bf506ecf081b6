#include "keys/key_eraser.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "base/random_bytes.h"
#include "format/all_zero.h"
#include "format/header_copy.h"

namespace vnvram {
namespace {

constexpr std::uint64_t slots_offset_bytes = format::key_slots_start_blocks[0] * block_size_bytes;
constexpr std::size_t slots_size_bytes = format::header_copy_count * format::header_copy_size_bytes;
static_assert(format::key_slots_start_blocks[1] ==
              format::key_slots_start_blocks[0] + format::header_copy_block_count);

Status write_all(BlockDevice& device, std::span<const std::byte> bytes) {
  const Status written = device.write(slots_offset_bytes, bytes);
  return written ? device.flush() : written;
}

} // namespace

Result<bool> has_key_slots(BlockDevice& device) {
  std::vector<std::byte> bytes(slots_size_bytes);
  if (const Status read = device.read(slots_offset_bytes, bytes); !read) {
    return read.error();
  }
  const std::span<const std::byte> both = bytes;
  return format::has_header_magic(format::HeaderPart::key_slots,
                                  both.first<format::header_copy_size_bytes>()) ||
         format::has_header_magic(format::HeaderPart::key_slots,
                                  both.last<format::header_copy_size_bytes>());
}

Status overwrite_key_slots(BlockDevice& device) {
  std::vector<std::byte> bytes(slots_size_bytes);
  Status done = random_bytes(bytes);
  if (done) {
    done = write_all(device, bytes);
  }
  std::ranges::fill(bytes, std::byte{0});
  if (done) {
    done = write_all(device, bytes);
  }
  if (done) {
    std::ranges::fill(bytes, std::byte{0xff});
    done = device.read(slots_offset_bytes, bytes);
  }
  if (done && !format::all_zero(bytes)) {
    done = Error(ErrorKind::io,
                 fmt::format("{}: the key slots were overwritten, and are there all the same",
                             device.name()),
                 "destroy the device");
  }
  return done;
}

} // namespace vnvram
