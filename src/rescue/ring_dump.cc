#include "rescue/ring_dump.h"

#include <fmt/core.h>

namespace vnvram {

namespace {

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

} // namespace

std::optional<std::vector<std::byte>> RingDump::read_blocks(std::uint32_t position,
                                                            std::uint32_t count, std::string& why) {
  std::vector<std::byte> content(std::size_t{count} * block_size_bytes);
  const Status read =
      device_.read(format::Geometry::ring_block(position) * block_size_bytes, content);
  if (!read) {
    why = read.error().cause();
    return std::nullopt;
  }
  return content;
}

void RingDump::list() {
  std::uint32_t position = 0;
  while (position < geometry_.ring_block_count()) {
    std::string why;
    if ((format::Geometry::ring_block(position) + 1) * block_size_bytes > dump_.device_size_bytes) {
      dump_.remarks.push_back(fmt::format("ring block {} is beyond the device's end", position));
      return;
    }
    const auto block = read_blocks(position, 1, why);
    if (!block) {
      dump_.remarks.push_back(fmt::format("ring block {}: {}", position, why));
      ++position;
      continue;
    }
    const auto header = format::peek_record(*block, geometry_.record_block_count_max());
    position += header ? list_record(position, *header) : 1;
  }
}

/// Returns how many blocks it covers for sure.
std::uint32_t RingDump::list_record(std::uint32_t position, const format::RecordHeader& header) {
  ImageDump::Record record;
  record.position = position;
  record.header = header;
  if (header.block_count > geometry_.ring_block_count() - position) {
    record.why = "longer than the rest of the ring";
  } else if (!budget_.take(header.block_count)) {
    record.why = "not checked: too many broken records before it";
  } else if (const auto blocks = read_blocks(position, header.block_count, record.why); blocks) {
    const char* reason = "";
    const auto view =
        format::RecordView::check(*blocks, codec_, geometry_.space_size_bytes(), reason);
    if (view) {
      record = whole_record(position, *view);
    } else {
      record.why = reason;
    }
  }
  by_position_[position] = dump_.records.size();
  dump_.records.push_back(std::move(record));
  return dump_.records.back().valid ? header.block_count : 1;
}

void RingDump::mark_counting(const format::RecordView& record, std::uint32_t position) {
  const auto [found, fresh] = by_position_.emplace(position, dump_.records.size());
  if (fresh) { // It lies inside a record of another time.
    dump_.records.push_back(whole_record(position, record));
  }
  dump_.records[found->second].counts = true;
}

} // namespace vnvram
