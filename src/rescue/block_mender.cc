#include "rescue/block_mender.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "format/checksum.h"
#include "rescue/bit_flip.h"

namespace vnvram {

using format::entries_per_block;
using format::RecordView;
using format::TableBlock;
using format::TableEntry;

namespace {

constexpr std::string_view by_flipping = "one flipped bit";
constexpr std::string_view by_replay = "its older copy and the ring's records";
constexpr std::string_view by_children = "its older copy and what it points to";
constexpr std::uint64_t combinations_max = 1U << 16U;

} // namespace

BlockMender::BlockMender(BlockDevice& device, const format::Superblock& superblock,
                         const RingHistory& history)
    : device_(device), geometry_(format::geometry_of(superblock)), salt_(superblock.salt),
      generation_(superblock.generation), history_(history) {}

std::optional<Block> BlockMender::read(std::uint64_t block) {
  Block content;
  return device_.read(block * block_size_bytes, content) ? std::optional(content) : std::nullopt;
}

std::optional<TableBlock> BlockMender::read_table(std::uint64_t block) {
  const std::optional<Block> content = read(block);
  return content ? std::optional(std::bit_cast<TableBlock>(*content)) : std::nullopt;
}

std::optional<BlockMender::Mended> BlockMender::unflip(std::uint64_t block, TableEntry entry) {
  std::optional<Block> content = read(block);
  if (content && unflip_bit(std::span(*content),
                            [&] { return format::entry_matches(entry, *content, salt_); })) {
    return Mended{*content, by_flipping};
  }
  return std::nullopt;
}

// The last checkpoint wrote it from what the other slot has, or had, and from records that the ring
// may still hold.
std::optional<BlockMender::Mended> BlockMender::mend_page(std::uint32_t page, TableEntry entry) {
  const unsigned slot = format::entry_slot(entry);
  if (auto unflipped = unflip(geometry_.page_block(page, slot), entry)) {
    return unflipped;
  }
  const std::vector<const RecordView*> changes = history_.changes_of(page, 1, generation_);
  std::vector<Block> bases{Block{}};
  for (const unsigned from : {1 - slot, slot}) { // The rest of a damaged one may be sound.
    if (const std::optional<Block> content = read(geometry_.page_block(page, from))) {
      bases.push_back(*content);
    }
  }
  for (const Block& base : bases) {
    for (std::size_t first = 0; first < changes.size(); ++first) {
      Block content = base;
      for (std::size_t i = first; i < changes.size(); ++i) {
        apply_to_page(*changes[i], page, content);
      }
      if (format::entry_matches(entry, content, salt_)) {
        return Mended{content, by_replay};
      }
    }
  }
  return std::nullopt;
}

std::set<std::uint32_t>
BlockMender::pages_changed(std::uint32_t zone, std::span<const RecordView* const> changes) const {
  const std::uint32_t first = zone * entries_per_block;
  const std::uint32_t end = std::min(first + entries_per_block, geometry_.page_count());
  std::set<std::uint32_t> pages;
  for (const RecordView* record : changes) {
    for (const RecordView::Extent& extent : record->extents()) {
      const std::uint64_t last_byte = extent.offset_bytes + extent.length_bytes - 1;
      const auto from = static_cast<std::uint32_t>(extent.offset_bytes / block_size_bytes);
      const auto to = static_cast<std::uint32_t>(last_byte / block_size_bytes);
      for (std::uint32_t page = std::max(from, first); page <= to && page < end; ++page) {
        pages.insert(page);
      }
    }
  }
  return pages;
}

// The leaf that a checkpoint of these records makes of an older one.
std::optional<TableBlock> BlockMender::advance_leaf(std::uint32_t zone, const TableBlock& old,
                                                    std::span<const RecordView* const> changes) {
  TableBlock leaf = old;
  for (const std::uint32_t page : pages_changed(zone, changes)) {
    TableEntry& entry = leaf[page % entries_per_block];
    std::optional<Block> content =
        entry == 0 ? Block{} : read(geometry_.page_block(page, format::entry_slot(entry)));
    if (!content || (entry != 0 && !format::entry_matches(entry, *content, salt_))) {
      return std::nullopt;
    }
    for (const RecordView* record : changes) {
      apply_to_page(*record, page, *content);
    }
    entry = format::all_zero(*content)
                ? 0
                : format::make_entry(*content, salt_, format::entry_other_slot(entry));
  }
  return leaf;
}

std::optional<BlockMender::Mended> BlockMender::mend_leaf(std::uint32_t zone, TableEntry entry) {
  const unsigned slot = format::entry_slot(entry);
  if (auto unflipped = unflip(geometry_.leaf_block(zone, slot), entry)) {
    return unflipped;
  }
  std::vector<TableBlock> bases{TableBlock{}};
  if (const auto older = read_table(geometry_.leaf_block(zone, 1 - slot))) {
    bases.push_back(*older);
  }
  const std::vector<const RecordView*> changes =
      history_.changes_of(zone * entries_per_block, entries_per_block, generation_);
  for (const TableBlock& base : bases) {
    for (std::size_t first = changes.size(); first-- > 0;) { // Most likely few of them.
      const auto leaf = advance_leaf(zone, base, std::span(changes).subspan(first));
      if (leaf && format::entry_matches(entry, std::as_bytes(std::span(*leaf)), salt_)) {
        return Mended{std::bit_cast<Block>(*leaf), by_replay};
      }
    }
  }
  return std::nullopt;
}

// Few zones are in use: try each combination of what their leaves' slots hold.
std::optional<BlockMender::Mended> BlockMender::mend_index(std::uint32_t index, TableEntry entry) {
  const unsigned slot = format::entry_slot(entry);
  if (auto unflipped = unflip(format::Geometry::index_block(index, slot), entry)) {
    return unflipped;
  }
  const TableBlock older =
      read_table(format::Geometry::index_block(index, 1 - slot)).value_or(TableBlock{});
  const std::uint32_t first_zone = index * entries_per_block;
  std::vector<std::vector<TableEntry>> choices;
  std::uint64_t combinations = 1;
  for (std::uint32_t i = 0; i < entries_per_block && first_zone + i < geometry_.zone_count(); ++i) {
    std::set<TableEntry> candidates{0, older[i]};
    for (const unsigned leaf_slot : {0U, 1U}) {
      const auto leaf = read(geometry_.leaf_block(first_zone + i, leaf_slot));
      if (leaf && !format::all_zero(*leaf)) {
        candidates.insert(format::make_entry(*leaf, salt_, leaf_slot));
      }
    }
    choices.emplace_back(candidates.begin(), candidates.end());
    combinations *= candidates.size();
    if (combinations > combinations_max) {
      return std::nullopt;
    }
  }
  for (std::uint64_t number = 0; number < combinations; ++number) {
    TableBlock block{};
    std::uint64_t rest = number;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      block[i] = choices[i][rest % choices[i].size()];
      rest /= choices[i].size();
    }
    if (format::entry_matches(entry, std::as_bytes(std::span(block)), salt_)) {
      return Mended{std::bit_cast<Block>(block), by_children};
    }
  }
  return std::nullopt;
}

} // namespace vnvram
