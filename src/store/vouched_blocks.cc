#include "store/vouched_blocks.h"

#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/core.h>

#include "format/all_zero.h"

namespace vnvram {

using format::BlockKind;
using format::BlockPlace;
using format::TableEntry;

namespace {

std::string place_text(BlockPlace place, const TableEntry& entry) {
  switch (place.kind) {
  case BlockKind::index: return fmt::format("index block {}", place.number);
  case BlockKind::leaf: return fmt::format("table leaf of zone {}", place.number);
  case BlockKind::page: break;
  }
  return fmt::format("home page {}, slot {}", place.number, entry.slot());
}

} // namespace

Status VouchedBlocks::read(BlockPlace place, const TableEntry& entry, Content content) {
  if (entry.empty()) {
    std::ranges::fill(content, std::byte{0});
    return {};
  }
  const std::uint64_t block = block_of(place, entry);
  Status read = device_.read(block * block_size_bytes, content);
  if (read && !codec_.open(entry, place, content)) {
    return Error{ErrorKind::corrupt,
                 fmt::format("{}: {} (block {}) is not what was written there", device_.name(),
                             place_text(place, entry), block),
                 "`repair` mends what can be mended, `salvage` gets out what is intact"};
  }
  return read;
}

bool VouchedBlocks::take(BlockPlace place, const TableEntry& entry, ConstContent block,
                         Content content) const {
  std::ranges::copy(block, content.begin());
  return codec_.open(entry, place, content);
}

Result<format::TableNode> VouchedBlocks::read_node(BlockPlace place, const TableEntry& entry) {
  format::TableNode node(codec_.entry_size_bytes());
  const Status done = read(place, entry, node.bytes());
  return done ? Result<format::TableNode>(node) : done.error();
}

// INV2c: what the current superblock leads to stays as it is.
Result<TableEntry> VouchedBlocks::write_next(BlockPlace place, const TableEntry& current,
                                             ConstContent content) {
  if (format::all_zero(content)) {
    return TableEntry();
  }
  const unsigned slot = current.other_slot();
  alignas(block_size_bytes) std::array<std::byte, block_size_bytes> block{};
  std::ranges::copy(content, block.begin());
  Result<TableEntry> next = codec_.seal(place, slot, block);
  if (!next) {
    return next;
  }
  assert(!next->empty() && next->slot() == slot);
  const Status written = device_.write(geometry_.block_of(place, slot) * block_size_bytes, block);
  return written ? next : written.error();
}

} // namespace vnvram
