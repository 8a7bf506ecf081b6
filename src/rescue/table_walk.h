// The walk from a superblock down to the homes, for who looks at each block of the table itself.
#pragma once

#include <cstdint>
#include <optional>

#include "format/codec.h"
#include "format/superblock.h"
#include "format/table_node.h"

namespace vnvram {

/// Called in the order of the image: an index block, then the zones below it.
class TableVisitor {
public:
  virtual ~TableVisitor() = default;
  /// An index block or a leaf; `entry` is not empty. What it says, or nullopt if what is below it
  /// cannot be found.
  virtual std::optional<format::TableNode> visit_node(format::BlockPlace place,
                                                      const format::TableEntry& entry) = 0;
  virtual void visit_pages(std::uint32_t zone, const format::TableNode& leaf) = 0;
  /// Behind a zone, in use or not, of so many.
  virtual void visited_zone(std::uint32_t /*zone*/, std::uint32_t /*zone_count*/) {}
};

/// Entries of zones that the image does not have lead nowhere.
void walk_table(const format::Superblock& superblock, const format::Codec& codec,
                TableVisitor& visitor);

} // namespace vnvram
