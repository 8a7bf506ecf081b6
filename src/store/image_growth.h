// An open image takes more of its device, which is lengthened first if it has to be.
#pragma once

#include <cstdint>
#include <vector>

#include "format/geometry.h"
#include "store/checkpointer.h"
#include "store/owner_check.h"
#include "store/shared_state.h"
#include "store/superblock_writer.h"
#include "vnvram/result.h"

namespace vnvram {

/// In this order: the device is as long as it must be; what the image gets is reserved, and random
/// in an encrypted one; all of that is durable; one superblock says so, then the other. Wherever
/// that is cut, the image opens at the size that its newest superblock says, and a device that is
/// longer is no fault. Nothing leads to the new pages before both superblocks know of them.
///
/// Threads: the one that leads a commit, or that alone has the store. Reads go on beside it.
class ImageGrowth {
public:
  ImageGrowth(SharedState& state, OwnerCheck& owner, SuperblockWriter& superblocks,
              Checkpointer& checkpointer)
      : state_(state), owner_(owner), superblocks_(superblocks), checkpointer_(checkpointer) {}

  /// To so many blocks, on a device of at least that size. Nothing where that is so. Errors: the
  /// device's (unsupported, no_space, io): nothing has changed then, but that the device may be
  /// longer; those of a checkpoint.
  Status grow(std::uint64_t image_block_count, std::uint64_t device_size_bytes);

  /// For blobs that find no room: to at least so many pages, and as many more as are worth a growth
  /// (OpenOptions::grow_max_bytes). Errors: no_space, also where the device cannot; as above.
  Status make_room(std::uint32_t page_count);

private:
  Status prepare(std::uint64_t image_block_count, std::uint64_t device_size_bytes);
  Status lengthen_device(std::uint64_t size_bytes);
  using Blocks = std::vector<format::NumberRange>;
  [[nodiscard]] Blocks added_blocks(std::uint64_t image_block_count) const;
  Status reserve(const Blocks& blocks);
  Status fill_if_encrypted(const Blocks& blocks);
  Status poison_if_failed(const Status& done);
  [[nodiscard]] std::uint64_t image_size_bytes() const;
  [[nodiscard]] Error cannot_grow(const Error& error) const;

  SharedState& state_;
  OwnerCheck& owner_;
  SuperblockWriter& superblocks_;
  Checkpointer& checkpointer_;
};

} // namespace vnvram
