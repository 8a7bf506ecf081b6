#include "store/superblock_writer.h"

#include <span>
#include <utility>

#include "base/barrier.h"
#include "store/third_copy.h"

namespace vnvram {

Status SuperblockWriter::write(const format::Superblock& superblock) {
  format::Superblock next = superblock;
  next.sequence = state_.superblock.sequence + 1;
  // INV4a: the current one stays whole.
  state_.codec.finish(next, 1 - state_.superblock.copy);
  const std::uint64_t offset_bytes =
      format::Geometry::superblock_block(next.copy) * block_size_bytes;
  const auto bytes = std::as_bytes(std::span(&next, 1));
  Status written;
  if (!keeps_in_memory_ && kept(Barrier::look_before_superblock)) {
    written = owner_.look(); // Directly before: another content's superblock is not lost.
  }
  if (!keeps_in_memory_ && written) {
    if (!state_.has_superblock) { // Once, in an image's making: a commit may look at it at any
                                  // other time.
      state_.has_superblock = true;
    }
    written = kept(Barrier::superblock_durability)
                  ? state_.device->write_durable(offset_bytes, bytes)
                  : state_.device->write(offset_bytes, bytes);
  }
  if (written) {
    const std::lock_guard lock(state_.mutex);
    state_.superblock = next;
  }
  return written;
}

void SuperblockWriter::keep_in_memory() {
  keeps_in_memory_ = true;
  state_.has_superblock = false;
}

bool SuperblockWriter::write_from_now_on() {
  return std::exchange(keeps_in_memory_, false);
}

void SuperblockWriter::find_third_copy(const format::Superblock& superblock) {
  const auto room = find_room_for_third_copy(*state_.device, superblock);
  third_copy_block_ = room ? *room : std::nullopt;
}

Status SuperblockWriter::update_third_copy(const format::Superblock& superblock) {
  if (!third_copy_block_ || !kept(Barrier::third_superblock)) {
    return {};
  }
  format::Superblock third = superblock;
  third.sequence = state_.superblock.sequence + 1;
  const Status cleared = clear_old_third_copy(*state_.device, third, *third_copy_block_);
  return cleared ? write_third_copy(*state_.device, *third_copy_block_, state_.codec, third)
                 : cleared;
}

} // namespace vnvram
