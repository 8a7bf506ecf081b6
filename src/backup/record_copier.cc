#include "backup/record_copier.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "format/geometry.h"
#include "format/record_view.h"

namespace vnvram {
namespace {

std::uint64_t offset_of(std::uint32_t position) {
  return format::Geometry::ring_block(position) * block_size_bytes;
}

} // namespace

Result<std::uint64_t> RecordCopier::copy() {
  // First: what the current one needs has overwritten some of it, maybe, there as here.
  if (const Status done = copy_what_the_fallback_needs(); !done) {
    return done.error();
  }
  return scan_current([&](const format::RecordView& record, std::uint32_t position,
                          const RingPosition& /*behind*/) {
    return copy_blocks_of(position, record.header().block_count);
  });
}

Result<std::uint64_t> RecordCopier::look_over() {
  return scan_current([](const format::RecordView& /*record*/, std::uint32_t /*position*/,
                         const RingPosition& /*behind*/) { return Status(); });
}

// By the rules of an opening, and so that a ring that is damaged in its middle is noticed.
Result<std::uint64_t> RecordCopier::scan_current(const RingScanner::OnRecord& on_record) {
  const auto end =
      RingScanner(source_, look_.current, keyless_codec(look_.current)).scan(on_record);
  if (!end) {
    return end.error();
  }
  return end->damaged ? Result<std::uint64_t>(Error(
                            ErrorKind::corrupt,
                            fmt::format("{}: its log is damaged in the middle: {}", source_.name(),
                                        end->reason),
                            "`repair` mends what can be mended; `salvage` gets out what is intact"))
                      : Result<std::uint64_t>(end->behind.sequence);
}

// Until these records are written over by newer ones, they lead from the older superblock to the
// current one; from then on they break off before newer ones, and an opener that has lost the
// current one refuses. Without them it would find an older state, and nothing that says so.
Status RecordCopier::copy_what_the_fallback_needs() {
  const auto fallback = look_.fallback();
  const std::uint64_t newest = look_.current.generation;
  if (!fallback || fallback->clean != 0 || fallback->generation >= newest) {
    return {};
  }
  const auto copy = [&](const format::RecordView& record, std::uint32_t position,
                        const RingPosition& /*behind*/) -> Status {
    return record.header().sequence <= newest ? copy_old(*fallback, record.header(), position)
                                              : Status();
  };
  const auto end = RingScanner(source_, *fallback, keyless_codec(*fallback)).scan(copy);
  if (!end) {
    return end.error();
  }
  // What the refusal goes by. A newer one than the current superblock's comes with its own.
  if (!end->damaged || end->newer_sequence <= end->behind.sequence ||
      end->newer_sequence > newest) {
    return {};
  }
  const Result<Block> first =
      read_block(source_, format::Geometry::ring_block(end->newer_position));
  if (!first) {
    return first.error();
  }
  // It may be another one by now, and says how much is read.
  const auto header =
      format::peek_record(*first, std::min(format::geometry_of(*fallback).record_block_count_max(),
                                           fallback->ring_block_count - end->newer_position));
  return header ? copy_blocks_of(end->newer_position, header->block_count) : Status();
}

// Its owner may write over it at any moment, and no superblock tells of that.
Status RecordCopier::copy_old(const format::Superblock& fallback,
                              const format::RecordHeader& header, std::uint32_t position) {
  std::vector<std::byte> bytes(std::size_t{header.block_count} * block_size_bytes);
  if (Status read = source_.read(offset_of(position), bytes); !read) {
    return read;
  }
  const char* reason = nullptr;
  const auto record = format::RecordView::check(
      bytes, keyless_codec(fallback), format::geometry_of(fallback).space_size_bytes(), reason);
  return record && record->header().checksum == header.checksum
             ? target_.write(offset_of(position), bytes)
             : Status(too_fast(source_));
}

Status RecordCopier::copy_blocks_of(std::uint32_t position, std::uint32_t block_count) {
  std::vector<std::byte> bytes(std::size_t{block_count} * block_size_bytes);
  Status done = source_.read(offset_of(position), bytes);
  return done ? target_.write(offset_of(position), bytes) : done;
}

} // namespace vnvram
