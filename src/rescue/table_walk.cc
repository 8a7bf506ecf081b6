#include "rescue/table_walk.h"

#include "format/geometry.h"

namespace vnvram {

using format::TableEntry;
using format::TableNode;

namespace {

std::optional<TableNode> visit(TableVisitor& visitor, const format::Codec& codec,
                               format::BlockPlace place, const TableEntry& entry) {
  return entry.empty() ? TableNode(codec.entry_size_bytes()) : visitor.visit_node(place, entry);
}

} // namespace

void walk_table(const format::Superblock& superblock, const format::Codec& codec,
                TableVisitor& visitor) {
  const format::Geometry geometry = format::geometry_of(superblock);
  const format::IndexEntries index_entries = codec.index_entries(superblock);
  for (std::uint32_t index = 0; index < format::index_block_count; ++index) {
    const auto node = visit(visitor, codec, format::index_place(index), index_entries[index]);
    const format::NumberRange zones = node ? geometry.zones_of(index) : format::NumberRange();
    for (std::uint32_t zone = zones.first; zone < zones.end; ++zone) {
      const TableEntry entry = node->entry_of(zone);
      const auto leaf = visit(visitor, codec, format::leaf_place(zone), entry);
      if (leaf && !entry.empty()) {
        visitor.visit_pages(zone, *leaf);
      }
      visitor.visited_zone(zone, geometry.zone_count());
    }
  }
}

} // namespace vnvram
