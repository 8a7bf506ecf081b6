// Where things are on an image of a given size: pure arithmetic on the superblock's numbers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "format/block_place.h"
#include "format/layout.h"

namespace vnvram::format {

/// From `first` up to, and without, `end`.
struct NumberRange {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  [[nodiscard]] std::uint32_t count() const { return end - first; }
};

class Geometry {
public:
  Geometry() = default;
  /// An entry of the table takes plain_entry_size_bytes or, of an encrypted image,
  /// sealed_entry_size_bytes.
  Geometry(std::uint64_t image_block_count, std::uint32_t ring_block_count,
           std::uint32_t entry_size_bytes = format::plain_entry_size_bytes);

  /// False for numbers that no image can have (too small, too large, a ring that leaves no zone).
  [[nodiscard]] bool valid() const;

  [[nodiscard]] std::uint64_t image_block_count() const { return image_block_count_; }
  [[nodiscard]] std::uint32_t ring_block_count() const { return ring_block_count_; }
  [[nodiscard]] std::uint32_t zones_start_block() const {
    return ring_start_block + ring_block_count_;
  }
  [[nodiscard]] std::uint32_t entry_size_bytes() const { return entry_size_bytes_; }
  [[nodiscard]] std::uint32_t page_count() const { return page_count_; }
  [[nodiscard]] std::uint32_t zone_count() const;
  /// Of the page space.
  [[nodiscard]] std::uint64_t space_size_bytes() const {
    return std::uint64_t{page_count()} * block_size_bytes;
  }
  /// A record may be no longer: two of them always fit, whatever is lost at the ring's end, and
  /// whoever reads one needs no more memory than that.
  [[nodiscard]] std::uint32_t record_block_count_max() const {
    return std::min(ring_block_count_ / 2, format::record_block_count_max);
  }

  [[nodiscard]] static std::uint64_t superblock_block(unsigned copy) { return copy; }
  [[nodiscard]] static std::uint64_t index_block(std::uint32_t index, unsigned slot);
  [[nodiscard]] std::uint64_t leaf_block(std::uint32_t zone, unsigned slot) const;
  [[nodiscard]] std::uint64_t page_block(std::uint32_t page, unsigned slot) const;
  /// Of any of these three. An image that grows keeps all of them where they are.
  [[nodiscard]] std::uint64_t block_of(BlockPlace place, unsigned slot) const;
  [[nodiscard]] static std::uint64_t ring_block(std::uint32_t position) {
    return ring_start_block + position;
  }

  /// The zone that a page is in, whose leaf has its entry.
  [[nodiscard]] std::uint32_t zone_of(std::uint32_t page) const {
    return page / entries_per_block();
  }
  /// The index block that has the entry of a zone's leaf.
  [[nodiscard]] std::uint32_t index_of(std::uint32_t zone) const {
    return zone / entries_per_block();
  }
  /// Of a full zone, with both slots of everything.
  [[nodiscard]] std::uint32_t zone_block_count() const { return 2 + (2 * entries_per_block()); }
  /// The pages of a zone, and the zones of an index block, that there are on this image.
  [[nodiscard]] NumberRange pages_of(std::uint32_t zone) const;
  [[nodiscard]] NumberRange zones_of(std::uint32_t index) const;

  /// How many blocks an image with this ring needs for so many pages.
  [[nodiscard]] static std::uint64_t
  blocks_for(std::uint32_t ring_block_count, std::uint64_t page_count,
             std::uint32_t entry_size_bytes = format::plain_entry_size_bytes);
  /// The largest record that a whole rewrite of a blob can become.
  [[nodiscard]] static std::uint32_t record_blocks_for(std::uint64_t blob_size_bytes);
  /// The largest blob, in whole pages, of which every rewrite fits a record of so many blocks.
  [[nodiscard]] static std::uint64_t blob_size_bytes_for(std::uint32_t record_block_count);

private:
  [[nodiscard]] std::uint32_t entries_per_block() const {
    return static_cast<std::uint32_t>(block_size_bytes) / entry_size_bytes_;
  }
  [[nodiscard]] NumberRange children_of(std::uint32_t number, std::uint32_t count) const;
  [[nodiscard]] std::uint32_t count_pages() const;

  std::uint64_t image_block_count_ = 0;
  std::uint32_t ring_block_count_ = 0;
  std::uint32_t entry_size_bytes_ = format::plain_entry_size_bytes;
  std::uint32_t page_count_ = 0; // Asked for with every page: worked out once.
};

} // namespace vnvram::format
