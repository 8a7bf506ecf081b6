#include "format/geometry.h"

#include <algorithm>
#include <cassert>

namespace vnvram::format {

namespace {

// What a record holds beside a blob's bytes: header, the directory's change, and extents. Pages are
// compared one by one, and within one a gap is only left out when that saves more than an extent
// costs: so there is at most one extent for each page that is not paid for.
constexpr std::uint64_t record_overhead_bytes =
    sizeof(RecordHeader) + (4 * page_runs_max * sizeof(RecordExtent)) + sizeof(DirectoryEntry);
constexpr std::uint64_t record_bytes_per_page = block_size_bytes + sizeof(RecordExtent);

} // namespace

Geometry::Geometry(std::uint64_t image_block_count, std::uint32_t ring_block_count,
                   std::uint32_t entry_size_bytes)
    : image_block_count_(image_block_count), ring_block_count_(ring_block_count),
      entry_size_bytes_(entry_size_bytes), page_count_(count_pages()) {
  assert(entry_size_bytes == format::plain_entry_size_bytes ||
         entry_size_bytes == sealed_entry_size_bytes);
}

// Of a table block, if there are so many children in all.
NumberRange Geometry::children_of(std::uint32_t number, std::uint32_t count) const {
  const std::uint64_t first = std::uint64_t{number} * entries_per_block();
  const std::uint64_t end = first + entries_per_block();
  return {static_cast<std::uint32_t>(std::min<std::uint64_t>(first, count)),
          static_cast<std::uint32_t>(std::min<std::uint64_t>(end, count))};
}

bool Geometry::valid() const {
  return image_block_count_ <= image_block_count_max && ring_block_count_ >= 4 &&
         ring_block_count_ < image_block_count_ && page_count() > 0;
}

std::uint32_t Geometry::count_pages() const {
  if (image_block_count_ <= zones_start_block()) {
    return 0;
  }
  const std::uint64_t blocks = image_block_count_ - zones_start_block();
  const std::uint64_t zone_count_max = std::uint64_t{index_block_count} * entries_per_block();
  const std::uint64_t full_zones =
      std::min<std::uint64_t>(blocks / zone_block_count(), zone_count_max);
  const std::uint64_t rest = full_zones == zone_count_max ? 0 : blocks % zone_block_count();
  const std::uint64_t rest_pages = rest >= 4 ? (rest - 2) / 2 : 0;
  return static_cast<std::uint32_t>((full_zones * entries_per_block()) + rest_pages);
}

std::uint32_t Geometry::zone_count() const {
  return (page_count() + entries_per_block() - 1) / entries_per_block();
}

std::uint64_t Geometry::index_block(std::uint32_t index, unsigned slot) {
  return index_start_block + (2 * index) + slot;
}

std::uint64_t Geometry::leaf_block(std::uint32_t zone, unsigned slot) const {
  return zones_start_block() + (std::uint64_t{zone} * zone_block_count()) + slot;
}

std::uint64_t Geometry::page_block(std::uint32_t page, unsigned slot) const {
  return leaf_block(zone_of(page), 0) + 2 + (2 * std::uint64_t{page % entries_per_block()}) + slot;
}

std::uint64_t Geometry::block_of(BlockPlace place, unsigned slot) const {
  switch (place.kind) {
  case BlockKind::index: return index_block(place.number, slot);
  case BlockKind::leaf: return leaf_block(place.number, slot);
  case BlockKind::page: break;
  }
  return page_block(place.number, slot);
}

NumberRange Geometry::pages_of(std::uint32_t zone) const {
  return children_of(zone, page_count());
}

NumberRange Geometry::zones_of(std::uint32_t index) const {
  return children_of(index, zone_count());
}

std::uint64_t Geometry::blocks_for(std::uint32_t ring_block_count, std::uint64_t page_count,
                                   std::uint32_t entry_size_bytes) {
  const std::uint64_t per_block = block_size_bytes / entry_size_bytes;
  const std::uint64_t full_zones = page_count / per_block;
  const std::uint64_t rest = page_count % per_block;
  return ring_start_block + ring_block_count + (full_zones * (2 + (2 * per_block))) +
         (rest == 0 ? 0 : 2 + (2 * rest));
}

std::uint32_t Geometry::record_blocks_for(std::uint64_t blob_size_bytes) {
  const std::uint64_t full_pages = blob_size_bytes / block_size_bytes;
  const std::uint64_t rest = blob_size_bytes % block_size_bytes;
  const std::uint64_t record_bytes = record_overhead_bytes + (full_pages * record_bytes_per_page) +
                                     (rest == 0 ? 0 : rest + sizeof(RecordExtent));
  return static_cast<std::uint32_t>((record_bytes + block_size_bytes - 1) / block_size_bytes);
}

std::uint64_t Geometry::blob_size_bytes_for(std::uint32_t record_block_count) {
  const std::uint64_t record_bytes = std::uint64_t{record_block_count} * block_size_bytes;
  return record_bytes < record_overhead_bytes
             ? 0
             : (record_bytes - record_overhead_bytes) / record_bytes_per_page * block_size_bytes;
}

} // namespace vnvram::format
