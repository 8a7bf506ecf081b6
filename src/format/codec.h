// Makes and proves the checks of an image: of its superblocks, of the blocks of table and homes,
// and of its records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "format/block_place.h"
#include "format/layout.h"
#include "format/table_entry.h"

namespace vnvram::format {

/// XXH3-64, seeded with what a guest, which controls payload bytes, does not know: so it cannot
/// forge a block that passes. Who uses a codec knows nothing of that seed, nor what is in an entry.
///
/// Each call says which block is meant: what is proven is "this content, at this place". A plain
/// check needs no place, as entries of different places are in different parents; encryption binds
/// it.
///
/// Threads: a value that never changes; any number of them may use one.
class Codec {
public:
  /// Of the store whose superblock this is.
  explicit Codec(const Superblock& superblock) : salt_(superblock.salt) {}

  // Superblocks. They are proven before anything is known of the store: see superblock.h.
  /// Sets copy, magic, version and checksum: the superblock is ready to be written to that copy's
  /// block.
  void finish(Superblock& superblock, unsigned copy) const;
  [[nodiscard]] static bool proves(const Superblock& superblock);
  [[nodiscard]] IndexEntries index_entries(const Superblock& superblock) const;
  void set_index_entries(Superblock& superblock, const IndexEntries& entries) const;

  // Blocks of the table and the homes, each of which its parent's entry vouches for.
  /// The entry that vouches for this content in a slot (0 or 1). Never an empty one.
  [[nodiscard]] TableEntry entry_for(BlockPlace place, unsigned slot,
                                     std::span<const std::byte> content) const;
  [[nodiscard]] bool proves(const TableEntry& entry, BlockPlace place,
                            std::span<const std::byte> content) const;

  // Records: whole blocks, as they are in the ring.
  /// Sets the checksum in the header, and returns it: the next record's chain.
  std::uint64_t finish_record(std::span<std::byte> record) const;
  [[nodiscard]] bool proves_record(std::span<const std::byte> record) const;

private:
  [[nodiscard]] std::uint64_t record_checksum(std::span<const std::byte> record) const;

  std::uint64_t salt_;
};

} // namespace vnvram::format
