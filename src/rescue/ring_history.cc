#include "rescue/ring_history.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "store/ring_scanner.h"

namespace vnvram {

namespace {

constexpr std::size_t step_bytes = std::size_t{1} << 20U;

bool overlaps(const format::RecordView::Extent& extent, std::uint64_t from, std::uint64_t to) {
  return extent.offset_bytes < to && from < extent.offset_bytes + extent.length_bytes;
}

} // namespace

RingHistory::RingHistory(BlockDevice& device, const format::Superblock& superblock,
                         const format::Codec& codec) {
  const format::Geometry geometry = format::geometry_of(superblock);
  const std::uint64_t ring_bytes = std::uint64_t{geometry.ring_block_count()} * block_size_bytes;
  if (ring_bytes > ring_size_max_bytes) {
    complete_ = false;
    return;
  }
  ring_.resize(ring_bytes);
  read_ring(device);
  find_records(codec, geometry);
}

void RingHistory::read_ring(BlockDevice& device) {
  const std::uint64_t start = format::Geometry::ring_block(0) * block_size_bytes;
  for (std::size_t done = 0; done < ring_.size(); done += step_bytes) {
    const auto part = std::span(ring_).subspan(done, std::min(step_bytes, ring_.size() - done));
    if (device.read(start + done, part)) {
      continue;
    }
    for (std::size_t in_part = 0; in_part < part.size(); in_part += block_size_bytes) {
      const auto block = part.subspan(in_part, block_size_bytes);
      if (!device.read(start + done + in_part, block)) {
        std::fill(block.begin(), block.end(), std::byte{0});
        complete_ = false;
      }
    }
  }
}

void RingHistory::find_records(const format::Codec& codec, const format::Geometry& geometry) {
  const std::uint32_t block_count = geometry.ring_block_count();
  RecordBudget budget(block_count);
  for (std::uint32_t position = 0; position < block_count; ++position) {
    const auto rest =
        std::span<const std::byte>(ring_).subspan(std::size_t{position} * block_size_bytes);
    const auto header =
        format::peek_record(rest.first(block_size_bytes), geometry.record_block_count_max());
    if (!header || header->block_count > block_count - position) {
      continue;
    }
    if (!budget.take(header->block_count)) {
      complete_ = false;
      continue;
    }
    const char* reason = nullptr;
    auto view =
        format::RecordView::check(rest.first(std::size_t{header->block_count} * block_size_bytes),
                                  codec, geometry.space_size_bytes(), reason);
    if (view) {
      entries_.push_back({position, std::move(*view)});
    }
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    const format::RecordHeader& left = a.record.header();
    const format::RecordHeader& right = b.record.header();
    return std::tie(left.epoch_number, left.sequence) <
           std::tie(right.epoch_number, right.sequence);
  });
}

std::vector<const format::RecordView*> RingHistory::changes_of(std::uint32_t first_page,
                                                               std::uint32_t page_count,
                                                               std::uint64_t generation) const {
  const std::uint64_t from = std::uint64_t{first_page} * block_size_bytes;
  const std::uint64_t to = from + (std::uint64_t{page_count} * block_size_bytes);
  std::vector<const format::RecordView*> found;
  for (const Entry& entry : entries_) {
    const auto& extents = entry.record.extents();
    if (entry.record.header().sequence <= generation &&
        std::any_of(extents.begin(), extents.end(),
                    [&](const auto& extent) { return overlaps(extent, from, to); })) {
      found.push_back(&entry.record);
    }
  }
  if (found.size() > changes_max) {
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(changes_max));
  }
  return found;
}

void apply_to_page(const format::RecordView& record, std::uint32_t page, Block& content) {
  const std::uint64_t page_from = std::uint64_t{page} * block_size_bytes;
  const std::uint64_t page_to = page_from + block_size_bytes;
  for (const format::RecordView::Extent& extent : record.extents()) {
    if (!overlaps(extent, page_from, page_to)) {
      continue;
    }
    const std::uint64_t from = std::max(page_from, extent.offset_bytes);
    const std::uint64_t to = std::min(page_to, extent.offset_bytes + extent.length_bytes);
    std::byte* at = content.data() + (from - page_from);
    if (extent.kind == format::ExtentKind::zeros) {
      std::memset(at, 0, to - from);
    } else {
      std::memcpy(at, extent.bytes.data() + (from - extent.offset_bytes), to - from);
    }
  }
}

} // namespace vnvram
