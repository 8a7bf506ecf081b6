#include "rescue/image_dump.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include <fmt/core.h>

#include "format/codec.h"
#include "format/record_view.h"
#include "format/table_node.h"
#include "store/directory.h"
#include "store/ring_scanner.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {
namespace {

using format::SuperblockState;
using Block = std::array<std::byte, block_size_bytes>;

const char* state_text(SuperblockState state) {
  switch (state) {
  case SuperblockState::valid: return "";
  case SuperblockState::zero: return "all zero";
  case SuperblockState::no_magic: return "not a superblock";
  case SuperblockState::damaged: return "damaged";
  case SuperblockState::bogus: return "cannot be";
  case SuperblockState::too_new: return "too new";
  case SuperblockState::encrypted: return "encrypted";
  }
  return "unknown";
}

ImageDump::Superblock dump_superblock(const format::CheckedSuperblock& checked, unsigned copy,
                                      const format::Superblock* used) {
  ImageDump::Superblock superblock;
  superblock.copy = copy;
  superblock.valid = checked.state == SuperblockState::valid;
  superblock.why = state_text(checked.state);
  if (*checked.reason != '\0') {
    superblock.why += fmt::format(": {}", checked.reason);
  }
  superblock.current = used == &checked.superblock;
  superblock.fields = checked.superblock;
  return superblock;
}

/// Reads one image by one superblock, and goes on wherever something is wrong.
class Dumper {
public:
  Dumper(BlockDevice& device, const format::Superblock& superblock, ImageDump& dump)
      : device_(device), superblock_(superblock), geometry_(format::geometry_of(superblock)),
        codec_(superblock), dump_(dump) {}

  void run() {
    dump_ring();
    mark_records_that_count();
    dump_table();
    dump_directory();
  }

private:
  std::optional<std::vector<std::byte>> read_blocks(std::uint64_t first, std::uint32_t count,
                                                    std::string& why);
  bool read_vouched(format::BlockPlace place, const format::TableEntry& entry,
                    std::span<std::byte> content, std::string& why);
  void dump_ring();
  std::uint32_t dump_record(std::uint32_t position, const format::RecordHeader& header);
  void mark_records_that_count();
  void dump_table();
  void dump_leaf(std::uint32_t zone, const format::TableEntry& entry);
  void dump_page(std::uint32_t page, const format::TableEntry& entry);
  void dump_directory();
  void dump_directory_page(std::uint32_t number, const format::DirectoryPage& page);
  format::DirectoryPage directory_page(std::uint32_t page);
  void apply_records(std::uint32_t page, std::span<std::byte> content);

  BlockDevice& device_;
  const format::Superblock superblock_;
  const format::Geometry geometry_;
  const format::Codec codec_;
  ImageDump& dump_;
  /// Every header in a made-up ring could claim half the ring: what is read for them is bounded.
  std::uint64_t record_blocks_left_ = 0;
  std::map<std::uint32_t, format::TableEntry> page_entries_;
  std::vector<std::size_t> counting_; ///< Indexes of the records that count, oldest first.
};

std::optional<std::vector<std::byte>> Dumper::read_blocks(std::uint64_t first, std::uint32_t count,
                                                          std::string& why) {
  std::vector<std::byte> content(std::size_t{count} * block_size_bytes);
  const Status status = device_.read(first * block_size_bytes, content);
  if (!status) {
    why = status.error().cause();
    return std::nullopt;
  }
  return content;
}

/// Reads a block that its parent's entry describes.
bool Dumper::read_vouched(format::BlockPlace place, const format::TableEntry& entry,
                          std::span<std::byte> content, std::string& why) {
  const auto read = read_blocks(geometry_.block_of(place, entry.slot()), 1, why);
  if (!read) {
    return false;
  }
  std::copy(read->begin(), read->end(), content.begin());
  if (!codec_.proves(entry, place, content)) {
    why = "checksum mismatch";
    return false;
  }
  return true;
}

void Dumper::dump_ring() {
  record_blocks_left_ = std::uint64_t{8} * geometry_.ring_block_count();
  std::uint32_t position = 0;
  while (position < geometry_.ring_block_count()) {
    std::string why;
    if ((format::Geometry::ring_block(position) + 1) * block_size_bytes > dump_.device_size_bytes) {
      dump_.remarks.push_back(fmt::format("ring block {} is beyond the device's end", position));
      return;
    }
    const auto block = read_blocks(format::Geometry::ring_block(position), 1, why);
    if (!block) {
      dump_.remarks.push_back(fmt::format("ring block {}: {}", position, why));
      ++position;
      continue;
    }
    const auto header = format::peek_record(*block, geometry_.record_block_count_max());
    position += header ? dump_record(position, *header) : 1;
  }
}

ImageDump::Record whole_record(std::uint32_t position, const format::RecordView& view) {
  ImageDump::Record record;
  record.valid = true;
  record.position = position;
  record.header = view.header();
  for (const auto& extent : view.extents()) {
    record.extents.push_back(
        {extent.offset_bytes, extent.length_bytes, extent.kind == format::ExtentKind::zeros});
  }
  return record;
}

/// Returns how many blocks it covers for sure.
std::uint32_t Dumper::dump_record(std::uint32_t position, const format::RecordHeader& header) {
  ImageDump::Record record;
  record.position = position;
  record.header = header;
  if (header.block_count > geometry_.ring_block_count() - position) {
    record.why = "longer than the rest of the ring";
  } else if (header.block_count > record_blocks_left_) {
    record.why = "not checked: too many broken records before it";
  } else {
    record_blocks_left_ -= header.block_count;
    const auto blocks =
        read_blocks(format::Geometry::ring_block(position), header.block_count, record.why);
    const char* reason = "";
    const auto view = blocks ? format::RecordView::check(
                                   *blocks, codec_,
                                   std::uint64_t{geometry_.page_count()} * block_size_bytes, reason)
                             : std::nullopt;
    if (view) {
      record = whole_record(position, *view);
    } else if (blocks) {
      record.why = reason;
    }
  }
  dump_.records.push_back(std::move(record));
  return dump_.records.back().valid ? header.block_count : 1;
}

/// What recovery would replay, by what recovery scans with.
void Dumper::mark_records_that_count() {
  std::map<std::uint32_t, std::size_t> by_position;
  for (std::size_t i = 0; i < dump_.records.size(); ++i) {
    by_position[dump_.records[i].position] = i;
  }
  RingScanner scanner(device_, superblock_, codec_);
  const auto end = scanner.scan(
      [&](const format::RecordView& record, std::uint32_t position, const RingPosition&) {
        const auto [found, fresh] = by_position.emplace(position, dump_.records.size());
        if (fresh) { // It lies inside a record of another time.
          dump_.records.push_back(whole_record(position, record));
        }
        dump_.records[found->second].counts = true;
        counting_.push_back(found->second);
        return Status{};
      });
  if (!end || end->damaged) {
    dump_.remarks.push_back(end ? end->reason : end.error().cause());
  }
}

void Dumper::dump_table() {
  const format::IndexEntries index_entries = codec_.index_entries(superblock_);
  for (std::uint32_t number = 0; number < format::index_block_count; ++number) {
    const format::TableEntry entry = index_entries[number];
    if (entry.empty()) {
      continue;
    }
    ImageDump::TableBlock index;
    index.number = number;
    index.block = format::Geometry::index_block(number, entry.slot());
    format::TableNode node;
    index.valid = read_vouched(format::index_place(number), entry, node.bytes(), index.why);
    if (index.valid) {
      index.entries_used = node.entries_used();
    } else {
      dump_.remarks.push_back(fmt::format("the zones of index block {} cannot be found", number));
    }
    const format::NumberRange zones =
        index.valid ? geometry_.zones_of(number) : format::NumberRange();
    dump_.table.push_back(std::move(index));
    for (std::uint32_t zone = zones.first; zone < zones.end; ++zone) {
      if (const format::TableEntry leaf = node.entry_of(zone); !leaf.empty()) {
        dump_leaf(zone, leaf);
      }
    }
  }
}

void Dumper::dump_leaf(std::uint32_t zone, const format::TableEntry& entry) {
  ImageDump::TableBlock leaf;
  leaf.leaf = true;
  leaf.number = zone;
  leaf.block = geometry_.leaf_block(zone, entry.slot());
  format::TableNode node;
  leaf.valid = read_vouched(format::leaf_place(zone), entry, node.bytes(), leaf.why);
  if (leaf.valid) {
    leaf.entries_used = node.entries_used();
  } else {
    dump_.remarks.push_back(fmt::format("the pages of zone {} cannot be found", zone));
  }
  const format::NumberRange pages = leaf.valid ? geometry_.pages_of(zone) : format::NumberRange();
  dump_.table.push_back(std::move(leaf));
  for (std::uint32_t page = pages.first; page < pages.end; ++page) {
    if (const format::TableEntry home = node.entry_of(page); !home.empty()) {
      dump_page(page, home);
    }
  }
}

void Dumper::dump_page(std::uint32_t page, const format::TableEntry& entry) {
  ImageDump::Page result;
  result.number = page;
  result.slot = entry.slot();
  result.block = geometry_.page_block(page, result.slot);
  Block content{};
  result.valid = read_vouched(format::page_place(page), entry, content, result.why);
  page_entries_[page] = entry;
  dump_.pages.push_back(std::move(result));
}

/// The bytes that the records which count put into a page.
void Dumper::apply_records(std::uint32_t page, std::span<std::byte> content) {
  const std::uint64_t page_begin = std::uint64_t{page} * block_size_bytes;
  const std::uint64_t page_end = page_begin + block_size_bytes;
  for (const std::size_t number : counting_) {
    const ImageDump::Record& record = dump_.records[number];
    const bool touches =
        std::any_of(record.extents.begin(), record.extents.end(), [&](const auto& extent) {
          return extent.offset_bytes < page_end &&
                 extent.offset_bytes + extent.length_bytes > page_begin;
        });
    std::string why;
    const char* reason = "";
    const auto blocks = touches ? read_blocks(format::Geometry::ring_block(record.position),
                                              record.header.block_count, why)
                                : std::nullopt;
    const auto view = blocks ? format::RecordView::check(
                                   *blocks, codec_,
                                   std::uint64_t{geometry_.page_count()} * block_size_bytes, reason)
                             : std::nullopt;
    if (!view) {
      continue;
    }
    for (const auto& extent : view->extents()) {
      const std::uint64_t begin = std::max(extent.offset_bytes, page_begin);
      const std::uint64_t end = std::min(extent.offset_bytes + extent.length_bytes, page_end);
      if (begin >= end) {
        continue;
      }
      const auto target = content.subspan(begin - page_begin, end - begin);
      if (extent.kind == format::ExtentKind::zeros) {
        std::fill(target.begin(), target.end(), std::byte{0});
      } else {
        const auto source = extent.bytes.subspan(begin - extent.offset_bytes, end - begin);
        std::copy(source.begin(), source.end(), target.begin());
      }
    }
  }
}

/// A directory page as recovery would see it; what cannot be believed is zero.
format::DirectoryPage Dumper::directory_page(std::uint32_t page) {
  Block content{};
  const auto entry = page_entries_.find(page);
  std::string why;
  if (entry != page_entries_.end()) {
    if (!read_vouched(format::page_place(page), entry->second, content, why)) {
      dump_.remarks.push_back(fmt::format("directory page {}: {}", page, why));
      content.fill(std::byte{0});
    }
  }
  apply_records(page, content);
  format::DirectoryPage result{};
  std::memcpy(&result, content.data(), sizeof result);
  return result;
}

void Dumper::dump_directory() {
  Directory directory(geometry_.page_count());
  Status usable;
  std::set<std::uint32_t> seen;
  std::uint32_t number = 0;
  do {
    if (number >= geometry_.page_count() || !seen.insert(number).second) {
      dump_.remarks.push_back(fmt::format("the directory's chain of pages breaks at {}", number));
      return;
    }
    if (seen.size() > directory_pages_max) { // For each of them all records are looked at.
      dump_.remarks.emplace_back("the directory has more pages than all blobs can need");
      return;
    }
    const format::DirectoryPage page = directory_page(number);
    dump_directory_page(number, page);
    if (usable) {
      usable = directory.add_page(number, page); // What every opener goes by.
      if (!usable) {
        dump_.remarks.push_back(usable.error().cause());
      }
    }
    number = page.next_page;
  } while (number != 0);
}

void Dumper::dump_directory_page(std::uint32_t number, const format::DirectoryPage& page) {
  for (std::size_t index = 0; index < page.entries.size(); ++index) {
    if (format::is_free(page.entries[index])) {
      continue;
    }
    ImageDump::Entry entry;
    entry.page = number;
    entry.index = index;
    const char* reason = "";
    auto decoded = format::decode_directory_entry(page.entries[index], reason);
    entry.valid = decoded.has_value();
    if (decoded) {
      entry.decoded = std::move(*decoded);
    } else {
      entry.why = reason;
    }
    dump_.directory.push_back(std::move(entry));
  }
}

/// The one to read the rest by: the current one, the third copy without one, or the better of two
/// damaged ones if its numbers are possible at all.
const format::Superblock* superblock_to_use(const SuperblockPair& pair,
                                            const format::CheckedSuperblock& third) {
  if (const auto* current = pair.current()) {
    return current;
  }
  if (third.state == SuperblockState::valid) {
    return &third.superblock;
  }
  const format::Superblock* best = nullptr;
  for (const auto& copy : pair.copies) {
    const format::Superblock& fields = copy.superblock;
    const format::Geometry geometry = format::geometry_of(fields);
    const bool legible =
        copy.state == SuperblockState::damaged || copy.state == SuperblockState::bogus;
    if (legible && geometry.valid() && fields.ring_position < fields.ring_block_count &&
        (best == nullptr || fields.sequence > best->sequence)) {
      best = &fields;
    }
  }
  return best;
}

} // namespace

Result<ImageDump> dump_image(BlockDevice& device) {
  const auto found = find_superblock(device);
  if (!found && found.error().kind() != ErrorKind::corrupt) {
    return found.error();
  }
  const auto size_bytes = device.size_bytes();
  const auto pair = read_superblocks(device);
  if (!size_bytes || !pair) {
    return size_bytes ? pair.error() : size_bytes.error();
  }
  ImageDump dump;
  dump.device_size_bytes = *size_bytes;
  const auto found_third = look_at_third_copy(device);
  const format::CheckedSuperblock third = found_third ? *found_third : format::CheckedSuperblock{};
  const format::Superblock* used = superblock_to_use(*pair, third);
  for (unsigned copy = 0; copy < pair->copies.size(); ++copy) {
    dump.superblocks.push_back(dump_superblock(pair->copies[copy], copy, used));
  }
  if (third.state != SuperblockState::zero && third.state != SuperblockState::no_magic) {
    dump.superblocks.push_back(dump_superblock(third, format::third_copy, used));
  }
  if (!found) {
    dump.remarks.push_back(found.error().cause());
  }
  if (used == nullptr) {
    dump.remarks.push_back("no superblock says where the rest is");
    return dump;
  }
  Dumper(device, *used, dump).run();
  const auto again = read_superblocks(device);
  if (again && pair->current() != nullptr && again->current() != nullptr &&
      again->current()->sequence != pair->current()->sequence) {
    return Error(ErrorKind::stale, fmt::format("{}: changed while it was read", device.name()),
                 "try again");
  }
  return dump;
}

} // namespace vnvram
