#include "rescue/block_mender.h"

#include <algorithm>
#include <vector>

#include "format/all_zero.h"
#include "rescue/bit_flip.h"

namespace vnvram {

using format::RecordView;
using format::TableEntry;
using format::TableNode;

namespace {

constexpr std::string_view by_flipping = "one flipped bit";
constexpr std::string_view by_replay = "its older copy and the ring's records";
constexpr std::string_view by_children = "its older copy and what it points to";
constexpr std::uint64_t combinations_max = 1U << 16U;

Block bytes_of(const TableNode& node) {
  Block bytes{};
  std::ranges::copy(node.bytes(), bytes.begin());
  return bytes;
}

} // namespace

BlockMender::BlockMender(BlockDevice& device, const format::Superblock& superblock,
                         const format::Codec& codec, const RingHistory& history)
    : device_(device), geometry_(format::geometry_of(superblock)), codec_(codec),
      generation_(superblock.generation), history_(history) {}

std::optional<Block> BlockMender::read(std::uint64_t block) {
  Block content;
  return device_.read(block * block_size_bytes, content) ? std::optional(content) : std::nullopt;
}

std::optional<TableNode> BlockMender::read_node(std::uint64_t block) {
  const std::optional<Block> content = read(block);
  return content ? std::optional(TableNode(geometry_.entry_size_bytes(), *content)) : std::nullopt;
}

std::optional<BlockMender::Mended> BlockMender::proven(format::BlockPlace place,
                                                       const TableEntry& entry, const Block& says,
                                                       std::string_view how) const {
  Mended mended{says, says, how};
  return codec_.seal_again(entry, place, mended.content) ? std::optional(mended) : std::nullopt;
}

std::optional<BlockMender::Mended> BlockMender::unflip(format::BlockPlace place,
                                                       const TableEntry& entry) {
  std::optional<Block> content = read(geometry_.block_of(place, entry.slot()));
  Block says{};
  const auto opens = [&] {
    says = *content;
    return codec_.open(entry, place, says);
  };
  if (content && unflip_bit(std::span(*content), opens)) {
    return Mended{*content, says, by_flipping};
  }
  return std::nullopt;
}

// The last checkpoint wrote it from what the other slot has, or had, and from records that the ring
// may still hold.
std::optional<BlockMender::Mended> BlockMender::mend_page(std::uint32_t page,
                                                          const TableEntry& entry) {
  const unsigned slot = entry.slot();
  if (auto unflipped = unflip(format::page_place(page), entry)) {
    return unflipped;
  }
  const std::vector<const RecordView*> changes = history_.changes_of(page, 1, generation_);
  std::vector<Block> bases{Block{}};
  for (const unsigned from : {1 - slot, slot}) { // The rest of a damaged one may be sound.
    const std::optional<Block> content =
        codec_.seals() ? std::nullopt : read(geometry_.page_block(page, from));
    if (content) {
      bases.push_back(*content);
    }
  }
  for (const Block& base : bases) {
    for (std::size_t first = 0; first < changes.size(); ++first) {
      Block content = base;
      for (std::size_t i = first; i < changes.size(); ++i) {
        apply_to_page(*changes[i], page, content);
      }
      if (auto mended = proven(format::page_place(page), entry, content, by_replay)) {
        return mended;
      }
    }
  }
  return std::nullopt;
}

std::set<std::uint32_t>
BlockMender::pages_changed(std::uint32_t zone, std::span<const RecordView* const> changes) const {
  const format::NumberRange all = geometry_.pages_of(zone);
  std::set<std::uint32_t> pages;
  for (const RecordView* record : changes) {
    for (const RecordView::Extent& extent : record->extents()) {
      const std::uint64_t last_byte = extent.offset_bytes + extent.length_bytes - 1;
      const auto from = static_cast<std::uint32_t>(extent.offset_bytes / block_size_bytes);
      const auto to = static_cast<std::uint32_t>(last_byte / block_size_bytes);
      for (std::uint32_t page = std::max(from, all.first); page <= to && page < all.end; ++page) {
        pages.insert(page);
      }
    }
  }
  return pages;
}

// The leaf that a checkpoint of these records makes of an older one.
std::optional<TableNode> BlockMender::advance_leaf(std::uint32_t zone, const TableNode& old,
                                                   std::span<const RecordView* const> changes) {
  TableNode leaf = old;
  for (const std::uint32_t page : pages_changed(zone, changes)) {
    const format::BlockPlace place = format::page_place(page);
    const TableEntry entry = leaf.entry_of(page);
    std::optional<Block> content =
        entry.empty() ? Block{} : read(geometry_.block_of(place, entry.slot()));
    if (!content || (!entry.empty() && !codec_.proves(entry, place, *content))) {
      return std::nullopt;
    }
    for (const RecordView* record : changes) {
      apply_to_page(*record, page, *content);
    }
    leaf.set_entry_of(page, format::all_zero(*content)
                                ? TableEntry()
                                : codec_.entry_for(place, entry.other_slot(), *content));
  }
  return leaf;
}

std::optional<BlockMender::Mended> BlockMender::mend_leaf(std::uint32_t zone,
                                                          const TableEntry& entry) {
  const format::BlockPlace place = format::leaf_place(zone);
  if (auto unflipped = unflip(place, entry)) {
    return unflipped;
  }
  if (codec_.seals()) {
    return std::nullopt; // It has entries with nonces, which nothing makes again.
  }
  std::vector<TableNode> bases{TableNode(geometry_.entry_size_bytes())};
  if (const auto older = read_node(geometry_.block_of(place, 1 - entry.slot()))) {
    bases.push_back(*older);
  }
  const format::NumberRange pages = geometry_.pages_of(zone);
  const std::vector<const RecordView*> changes =
      history_.changes_of(pages.first, pages.count(), generation_);
  for (const TableNode& base : bases) {
    for (std::size_t first = changes.size(); first-- > 0;) { // Most likely few of them.
      const auto leaf = advance_leaf(zone, base, std::span(changes).subspan(first));
      auto mended = leaf ? proven(place, entry, bytes_of(*leaf), by_replay) : std::nullopt;
      if (mended) {
        return mended;
      }
    }
  }
  return std::nullopt;
}

// Few zones are in use: try each combination of what their leaves' slots hold.
std::optional<BlockMender::Mended> BlockMender::mend_index(std::uint32_t index,
                                                           const TableEntry& entry) {
  const format::BlockPlace place = format::index_place(index);
  if (auto unflipped = unflip(place, entry)) {
    return unflipped;
  }
  if (codec_.seals()) {
    return std::nullopt;
  }
  const TableNode empty(geometry_.entry_size_bytes());
  const TableNode older = read_node(geometry_.block_of(place, 1 - entry.slot())).value_or(empty);
  const format::NumberRange zones = geometry_.zones_of(index);
  std::vector<std::vector<TableEntry>> choices;
  std::uint64_t combinations = 1;
  for (std::uint32_t zone = zones.first; zone < zones.end; ++zone) {
    std::set<TableEntry> candidates{TableEntry(), older.entry_of(zone)};
    for (const unsigned leaf_slot : {0U, 1U}) {
      const auto leaf = read(geometry_.leaf_block(zone, leaf_slot));
      if (leaf && !format::all_zero(*leaf)) {
        candidates.insert(codec_.entry_for(format::leaf_place(zone), leaf_slot, *leaf));
      }
    }
    choices.emplace_back(candidates.begin(), candidates.end());
    combinations *= candidates.size();
    if (combinations > combinations_max) {
      return std::nullopt;
    }
  }
  for (std::uint64_t number = 0; number < combinations; ++number) {
    TableNode node = empty;
    std::uint64_t rest = number;
    for (std::uint32_t i = 0; i < zones.count(); ++i) {
      node.set_entry_of(zones.first + i, choices[i][rest % choices[i].size()]);
      rest /= choices[i].size();
    }
    if (auto mended = proven(place, entry, bytes_of(node), by_children)) {
      return mended;
    }
  }
  return std::nullopt;
}

} // namespace vnvram
