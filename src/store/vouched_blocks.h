// The blocks of the table and the homes on the device: each one is vouched for by an entry in its
// parent. What the store reads and writes of them goes through here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "format/codec.h"
#include "format/geometry.h"
#include "format/table_node.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Threads: as the device's; it has no state of its own.
class VouchedBlocks {
public:
  using Content = std::span<std::byte, block_size_bytes>;
  using ConstContent = std::span<const std::byte, block_size_bytes>;

  VouchedBlocks(BlockDevice& device, const format::Geometry& geometry, const format::Codec& codec)
      : device_(device), geometry_(geometry), codec_(codec) {}

  [[nodiscard]] std::uint64_t block_of(format::BlockPlace place,
                                       const format::TableEntry& entry) const {
    return geometry_.block_of(place, entry.slot());
  }

  /// What the entry vouches for; zeros, and the device is not asked, for an empty one. io; corrupt:
  /// what is there is something else.
  Status read(format::BlockPlace place, const format::TableEntry& entry, Content content);
  /// The same of a block that was read already: `content` becomes what it says. False: it is not
  /// what the entry vouches for, and `content` is not to be used.
  [[nodiscard]] bool take(format::BlockPlace place, const format::TableEntry& entry,
                          ConstContent block, Content content) const;
  Result<format::TableNode> read_node(format::BlockPlace place, const format::TableEntry& entry);

  /// Writes what comes after the content that `current` vouches for, to the slot that nothing
  /// points to, or nowhere if it is all zero. Not flushed. Returns what the parent must say.
  Result<format::TableEntry> write_next(format::BlockPlace place, const format::TableEntry& current,
                                        ConstContent content);

private:
  BlockDevice& device_;
  const format::Geometry geometry_; // The blocks of one that has grown are where they were.
  const format::Codec codec_;
};

} // namespace vnvram
