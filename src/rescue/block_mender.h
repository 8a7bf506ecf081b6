// Works out what a damaged block of the table or of the homes held.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string_view>

#include "device/overlay_device.h"
#include "format/codec.h"
#include "format/geometry.h"
#include "format/superblock.h"
#include "format/table_node.h"
#include "rescue/ring_history.h"

namespace vnvram {

/// Nothing is guessed: a block is mended only if the result is what the entry that points to it
/// vouches for, by the codec, whose check has 63 bits or more. Of an encrypted image less can be
/// mended: what a block's older copy says nobody can tell, as the entry that opened it is gone.
class BlockMender {
public:
  /// `history` and `device` must outlive it. `superblock` is the one whose table is mended.
  BlockMender(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec,
              const RingHistory& history);

  struct Mended {
    Block content; ///< As it is written.
    Block says;    ///< The same, of an encrypted image opened.
    std::string_view how;
  };
  std::optional<Mended> mend_index(std::uint32_t index, const format::TableEntry& entry);
  std::optional<Mended> mend_leaf(std::uint32_t zone, const format::TableEntry& entry);
  std::optional<Mended> mend_page(std::uint32_t page, const format::TableEntry& entry);

private:
  std::optional<Block> read(std::uint64_t block);
  std::optional<format::TableNode> read_node(std::uint64_t block);
  /// `says` is what the entry vouches for: as it was written, if so.
  [[nodiscard]] std::optional<Mended> proven(format::BlockPlace place,
                                             const format::TableEntry& entry, const Block& says,
                                             std::string_view how) const;
  std::optional<Mended> unflip(format::BlockPlace place, const format::TableEntry& entry);
  std::optional<format::TableNode> advance_leaf(std::uint32_t zone, const format::TableNode& old,
                                                std::span<const format::RecordView* const> changes);
  [[nodiscard]] std::set<std::uint32_t>
  pages_changed(std::uint32_t zone, std::span<const format::RecordView* const> changes) const;

  BlockDevice& device_;
  const format::Geometry geometry_;
  const format::Codec codec_;
  const std::uint64_t generation_;
  const RingHistory& history_;
};

} // namespace vnvram
