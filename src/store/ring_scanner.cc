#include "store/ring_scanner.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/core.h>

#include "base/barrier.h"

namespace vnvram {

using format::RecordHeader;
using format::RecordView;

namespace {

constexpr std::uint32_t window_block_count = 256; // One read for many small records.

// As far as it is the same once it is opened. The checksum stands for the rest.
bool is_same_header(const RecordHeader& one, const RecordHeader& other) {
  return std::memcmp(&one, &other, offsetof(RecordHeader, extent_count)) == 0;
}

} // namespace

RingPosition ring_start(const format::Superblock& superblock) {
  return {superblock.ring_position, 0, superblock.generation, superblock.chain};
}

RingPlace ring_place(const RingPosition& from, std::uint32_t block_count,
                     std::uint32_t ring_block_count) {
  assert(from.position < ring_block_count && block_count > 0 && block_count <= ring_block_count);
  const RingPlace place = from.position + block_count <= ring_block_count
                              ? RingPlace{from.position, block_count}
                              : RingPlace{0, ring_block_count - from.position + block_count};
  assert(place.position + block_count <= ring_block_count && place.cost_blocks >= block_count);
  return place;
}

RingScanner::RingScanner(BlockDevice& device, const format::Superblock& superblock,
                         const format::Codec& codec)
    : device_(device), superblock_(superblock), geometry_(format::geometry_of(superblock)),
      codec_(codec) {}

Result<std::span<const std::byte>> RingScanner::blocks(std::uint32_t position, std::uint32_t count,
                                                       std::uint32_t likely_count) {
  assert(position + count <= geometry_.ring_block_count());
  if (position < window_position_ || position + count > window_position_ + window_blocks_) {
    const std::uint32_t wanted =
        std::min(std::max(count, std::min(likely_count, window_block_count)),
                 geometry_.ring_block_count() - position);
    const std::size_t wanted_bytes = std::size_t{wanted} * block_size_bytes;
    if (!window_ || window_->size_bytes() < wanted_bytes) {
      window_.emplace(wanted_bytes);
    }
    window_blocks_ = 0;
    const Status read = device_.read(format::Geometry::ring_block(position) * block_size_bytes,
                                     window_->span().first(wanted_bytes));
    if (!read) {
      return read.error();
    }
    window_position_ = position;
    window_blocks_ = wanted;
  }
  return std::span<const std::byte>(window_->span())
      .subspan(std::size_t{position - window_position_} * block_size_bytes,
               std::size_t{count} * block_size_bytes);
}

// Apart from the window, which goes on being of use where the scan was.
Result<std::span<const std::byte>> RingScanner::first_block() {
  first_block_.emplace(block_size_bytes);
  const Status read =
      device_.read(format::Geometry::ring_block(0) * block_size_bytes, first_block_->span());
  return read ? Result<std::span<const std::byte>>(first_block_->span()) : read.error();
}

// One that was closed cleanly has nothing in it.
std::uint32_t RingScanner::unused_blocks(const RingPosition& from) const {
  return superblock_.clean != 0 ? 0 : geometry_.ring_block_count() - from.used_blocks;
}

bool RingScanner::is_of_this_epoch(const RecordHeader& header) const {
  return !kept(Barrier::epoch) || (header.epoch_number == superblock_.epoch_number &&
                                   header.epoch_random == superblock_.epoch_random);
}

// Is the record that follows `from` at this position?
// INV2a: only what continues this epoch's chain, whole, is the next record.
Result<bool> RingScanner::record_at(const RingPosition& from, std::uint32_t position,
                                    Candidate& candidate, End& end) {
  const Result<std::span<const std::byte>> first =
      position == from.position ? blocks(position, 1, unused_blocks(from)) : first_block();
  if (!first) {
    return first.error();
  }
  const auto header = format::peek_record(*first, geometry_.record_block_count_max());
  if (!header || !is_of_this_epoch(*header) || header->sequence != from.sequence + 1 ||
      (kept(Barrier::chain) && header->chain != from.chain)) {
    return false;
  }
  // Nowhere but where its writer would have put it: what it takes of the ring follows from that.
  const RingPlace place = ring_place(from, header->block_count, geometry_.ring_block_count());
  if (place.position != position ||
      place.cost_blocks > geometry_.ring_block_count() - from.used_blocks) {
    return false;
  }
  const Result<std::span<const std::byte>> all =
      blocks(position, header->block_count, unused_blocks(from));
  if (!all) {
    return all.error();
  }
  const char* reason = nullptr;
  auto view = RecordView::check(*all, codec_, geometry_.space_size_bytes(), reason);
  if (view && !is_same_header(view->header(), *header)) { // Its owner goes on, or it is no disk.
    reason = "it changed while it was read";
    view.reset();
  } else if (view && !has_plausible_zeros(*view)) {
    reason = "it zeroes more than there can be";
    view.reset();
  }
  if (!view) {
    end.torn = true;
    if (RecordView::is_forgery(reason)) { // Neither a cut nor rot makes that.
      end.damaged = true;
      end.newer_position = position;
      end.newer_sequence = header->sequence;
    }
    end.reason = fmt::format("the record of generation {} at ring block {} is not whole ({})",
                             header->sequence, position, reason);
    return false;
  }
  candidate = {position, std::move(*view)};
  return true;
}

// Nobody zeroes a page that is zero already: what has been zeroed once needs new bytes before it
// can be zeroed again, at least one for each page. A made-up ring could zero 4 GiB with every 16
// bytes.
bool RingScanner::has_plausible_zeros(const RecordView& record) const {
  std::uint64_t zeros_bytes = zeros_bytes_;
  std::uint64_t payload_bytes = payload_bytes_;
  for (const RecordView::Extent& extent : record.extents()) {
    (extent.kind == format::ExtentKind::zeros ? zeros_bytes : payload_bytes) += extent.length_bytes;
  }
  return zeros_bytes <= block_size_bytes * (geometry_.page_count() + payload_bytes);
}

void RingScanner::count_extents(const RecordView& record) {
  for (const RecordView::Extent& extent : record.extents()) {
    (extent.kind == format::ExtentKind::zeros ? zeros_bytes_ : payload_bytes_) +=
        extent.length_bytes;
  }
}

Result<bool> RingScanner::next_record(Candidate& candidate, End& end) {
  Result<bool> found = record_at(end.behind, end.behind.position, candidate, end);
  if (found && !*found && end.behind.position != 0) {
    found = record_at(end.behind, 0, candidate, end); // It may not have fit before the end.
  }
  return found;
}

Result<RingScanner::Next> RingScanner::next_behind(const RingPosition& place) {
  End end;
  end.behind = place;
  Candidate candidate;
  window_blocks_ = 0; // What is there now.
  const Result<bool> found = next_record(candidate, end);
  if (!found) {
    return found.error();
  }
  return *found ? Next::whole : end.torn ? Next::torn : Next::none;
}

Status RingScanner::scan_to_the_break(const OnRecord& on_record, End& end) {
  for (;;) {
    Candidate candidate;
    const Result<bool> found = next_record(candidate, end);
    if (!found) {
      return found.error();
    }
    if (!*found) {
      return {};
    }
    RingPosition& behind = end.behind;
    const RecordHeader& header = candidate.view.header();
    behind.used_blocks +=
        ring_place(behind, header.block_count, geometry_.ring_block_count()).cost_blocks;
    assert(behind.used_blocks <= geometry_.ring_block_count());
    assert(header.sequence == behind.sequence + 1);
    assert(candidate.position + header.block_count <= geometry_.ring_block_count());
    behind.position = (candidate.position + header.block_count) % geometry_.ring_block_count();
    behind.sequence = header.sequence;
    behind.chain = header.checksum;
    end.torn = false;
    count_extents(candidate.view);
    const Status used = on_record(candidate.view, candidate.position, behind);
    if (!used) {
      return used;
    }
  }
}

// Beside an owner, a newer record behind the break may only have been written since. Then the one
// that was missing was written before it, and is there now.
Result<RingScanner::End> RingScanner::scan(const OnRecord& on_record) {
  End end;
  end.behind = ring_start(superblock_);
  for (;;) {
    Status done = scan_to_the_break(on_record, end);
    if (done && !end.damaged && kept(Barrier::records_behind_break)) {
      done = look_behind_the_break(end);
    }
    if (!done) {
      return done.error();
    }
    if (!end.damaged) {
      return end;
    }
    window_blocks_ = 0; // Look again at the break, not at what was read before.
    Candidate candidate;
    End again = end;
    const Result<bool> found = next_record(candidate, again);
    if (!found) {
      return found.error();
    }
    if (!*found) {
      return end;
    }
    end.damaged = end.stray = false;
  }
}

// INV1b: only one record is in flight at a time, so no whole one can be newer than a torn one.
Status RingScanner::look_behind_the_break(End& end) {
  RecordBudget budget(geometry_.ring_block_count());
  const std::uint32_t ring_blocks = geometry_.ring_block_count();
  // What was replayed holds only older ones.
  const std::uint32_t unused = unused_blocks(end.behind);
  std::uint32_t newer_count = 0;
  for (std::uint32_t i = 0; i < unused; ++i) {
    const std::uint32_t position = (end.behind.position + i) % ring_blocks;
    const Result<std::span<const std::byte>> first = blocks(position, 1, unused - i);
    if (!first) {
      return first.error();
    }
    const auto header = format::peek_record(*first, geometry_.record_block_count_max());
    if (!header || !is_of_this_epoch(*header) || header->sequence <= end.behind.sequence ||
        header->block_count > geometry_.ring_block_count() - position) {
      continue;
    }
    if (!budget.take(header->block_count)) {
      end.damaged = true;
      end.stray = false;
      end.reason = "the ring is full of newer records that are not whole";
      return {};
    }
    const Result<std::span<const std::byte>> all =
        blocks(position, header->block_count, unused - i);
    if (!all) {
      return all.error();
    }
    const char* reason = nullptr;
    if (!RecordView::check(*all, codec_, ~std::uint64_t{0}, reason)) {
      continue;
    }
    end.stray = newer_count == 0 && !end.torn;
    if (++newer_count == 2) {
      return {};
    }
    end.damaged = true;
    end.newer_position = position;
    end.newer_sequence = header->sequence;
    end.reason = fmt::format("the ring breaks off behind generation {} at ring block {}, but the "
                             "record of generation {} at ring block {} is whole",
                             end.behind.sequence, end.behind.position, header->sequence, position);
  }
  return {};
}

} // namespace vnvram
