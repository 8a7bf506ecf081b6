#include "rescue/table_dump.h"

#include <array>

#include <fmt/core.h>

namespace vnvram {

using format::TableEntry;
using format::TableNode;

void TableDump::read_vouched(format::BlockPlace place, const TableEntry& entry,
                             format::Codec::Content content, ImageDump::Finding& finding) {
  const std::uint64_t block = geometry_.block_of(place, entry.slot());
  const Status read = device_.read(block * block_size_bytes, content);
  finding.valid = read && codec_.open(entry, place, content);
  if (!finding.valid) {
    finding.why = read ? "checksum mismatch" : read.error().cause();
  }
}

std::optional<TableNode> TableDump::visit_node(format::BlockPlace place, const TableEntry& entry) {
  ImageDump::TableBlock block;
  block.leaf = place.kind == format::BlockKind::leaf;
  block.number = place.number;
  block.block = geometry_.block_of(place, entry.slot());
  TableNode node(codec_.entry_size_bytes());
  read_vouched(place, entry, node.bytes(), block);
  const bool valid = block.valid;
  if (valid) {
    block.entries_used = node.entries_used();
  } else {
    dump_.remarks.push_back(
        block.leaf ? fmt::format("the pages of zone {} cannot be found", place.number)
                   : fmt::format("the zones of index block {} cannot be found", place.number));
  }
  dump_.table.push_back(std::move(block));
  return valid ? std::optional(node) : std::nullopt;
}

void TableDump::visit_pages(std::uint32_t zone, const TableNode& leaf) {
  const format::NumberRange pages = geometry_.pages_of(zone);
  for (std::uint32_t number = pages.first; number < pages.end; ++number) {
    const TableEntry entry = leaf.entry_of(number);
    if (entry.empty()) {
      continue;
    }
    ImageDump::Page page;
    page.number = number;
    page.slot = entry.slot();
    page.block = geometry_.page_block(number, entry.slot());
    std::array<std::byte, block_size_bytes> content{};
    read_vouched(format::page_place(number), entry, content, page);
    dump_.pages.push_back(std::move(page));
  }
}

} // namespace vnvram
