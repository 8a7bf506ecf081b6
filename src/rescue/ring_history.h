// Every whole record that the ring still holds, of whatever age: what the homes once became of.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/overlay_device.h"
#include "format/record_view.h"
#include "format/superblock.h"

namespace vnvram {

class RingHistory {
public:
  /// Reads the whole ring; blocks that cannot be read hold no records. A ring larger than
  /// ring_size_max_bytes is not read: the history is empty then.
  RingHistory(BlockDevice& device, const format::Superblock& superblock,
              const format::Codec& codec);

  static constexpr std::uint64_t ring_size_max_bytes = std::uint64_t{256} << 20U;

  static constexpr std::size_t changes_max = 512; // Trying them all costs their square.

  struct Entry {
    std::uint32_t position = 0; ///< In blocks from the ring's start.
    format::RecordView record;
  };
  /// Oldest first.
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  /// Every whole record that the ring holds is there: all of it could be read.
  [[nodiscard]] bool complete() const { return complete_; }

  /// The records up to this generation that change one of `page_count` pages from `first_page` on,
  /// oldest first; if there are more than changes_max, the newest.
  [[nodiscard]] std::vector<const format::RecordView*>
  changes_of(std::uint32_t first_page, std::uint32_t page_count, std::uint64_t generation) const;

private:
  void read_ring(BlockDevice& device);
  void find_records(const format::Codec& codec, const format::Geometry& geometry);

  std::vector<std::byte> ring_;
  std::vector<Entry> entries_;
  bool complete_ = true;
};

/// Does the record's part that lies in this page to the page's content.
void apply_to_page(const format::RecordView& record, std::uint32_t page, Block& content);

} // namespace vnvram
