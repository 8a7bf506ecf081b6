// Goes through an image from a superblock down and mends, in memory, what can be mended.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/overlay_device.h"
#include "format/header_copy.h"
#include "format/superblock.h"
#include "rescue/block_mender.h"
#include "rescue/ring_history.h"
#include "rescue/table_walk.h"
#include "vnvram/rescue.h"

namespace vnvram {

/// Nothing is written: the mended blocks are in an overlay.
class ImageMender final : private TableVisitor {
public:
  ImageMender(BlockDevice& device, const format::Superblock& superblock, format::Codec codec);

  void run(const RescueProgress& progress);

  /// The image as it would be if what was mended were written.
  [[nodiscard]] OverlayDevice& mended() { return mended_; }
  [[nodiscard]] const format::Codec& codec() const { return codec_; }
  [[nodiscard]] const std::vector<RepairFinding>& findings() const { return findings_; }
  /// The ring breaks off before its newest records, and could not be mended.
  [[nodiscard]] bool ring_damaged() const { return ring_damaged_; }

private:
  void clear_key_slots();
  void mend_header_area(format::HeaderPart part, const std::string& place);
  bool unflip_header_copy(format::HeaderPart part, unsigned copy, const std::string& place);
  void replace_header_copy(format::HeaderPart part, unsigned copy, std::span<const std::byte> bytes,
                           const std::string& place, std::string_view how);
  void mend_ring();
  bool mend_record_at(std::uint32_t position);
  std::optional<format::TableNode> visit_node(format::BlockPlace place,
                                              const format::TableEntry& entry) override;
  void visit_pages(std::uint32_t zone, const format::TableNode& leaf) override;
  void visited_zone(std::uint32_t zone, std::uint32_t zone_count) override;
  /// Notes what became of a damaged block. True if it is mended.
  bool note(const std::string& place, std::uint64_t block,
            const std::optional<BlockMender::Mended>& mended);
  /// False, with a note, once so much is damaged that trying to mend it all takes too long.
  bool may_try();
  std::optional<Block> read(std::uint64_t block);

  const format::Superblock superblock_;
  const format::Geometry geometry_;
  const format::Codec codec_;
  OverlayDevice mended_;
  std::optional<RingHistory> history_;
  std::optional<BlockMender> mender_; ///< Once the ring's history is known.
  RescueProgress progress_;
  std::vector<RepairFinding> findings_;
  std::uint32_t tries_left_;
  std::uint64_t device_block_count_ = 0;
  bool ring_damaged_ = false;
};

} // namespace vnvram
