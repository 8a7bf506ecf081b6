// The table's blocks and the homes in a dump.
#pragma once

#include "format/geometry.h"
#include "rescue/image_dump.h"
#include "rescue/table_walk.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// Tells of each block that the table leads to, in a dump, and whether it is what it should be.
class TableDump final : public TableVisitor {
public:
  TableDump(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec,
            ImageDump& dump)
      : device_(device), geometry_(format::geometry_of(superblock)), codec_(codec), dump_(dump) {}

  std::optional<format::TableNode> visit_node(format::BlockPlace place,
                                              const format::TableEntry& entry) override;
  void visit_pages(std::uint32_t zone, const format::TableNode& leaf) override;

private:
  /// Reads a block that its parent's entry describes.
  void read_vouched(format::BlockPlace place, const format::TableEntry& entry,
                    format::Codec::Content content, ImageDump::Finding& finding);

  BlockDevice& device_;
  const format::Geometry geometry_;
  const format::Codec codec_;
  ImageDump& dump_;
};

} // namespace vnvram
