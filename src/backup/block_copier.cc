#include "backup/block_copier.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/random_bytes.h"
#include "format/geometry.h"
#include "format/layout.h"
#include "store/ring_scanner.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr std::uint64_t header_from_block = format::superblock_count;
constexpr std::uint64_t header_to_block = format::ring_start_block;
// The header area, and the two slots of the index behind it.
constexpr std::size_t header_size_bytes = (header_to_block - header_from_block) * block_size_bytes;
constexpr int looks_max = 50;
// Of a source that can be held the last one is.
constexpr int readings_max_with_hold = 3;
constexpr int readings_max = 20;

Result<Block> read_block(BlockDevice& device, std::uint64_t block) {
  Block content{};
  const Status read = device.read(block * block_size_bytes, content);
  return read ? Result<Block>(content) : read.error();
}

class LettingGo {
public:
  explicit LettingGo(const BlockCopySource& source) : source_(source) {}
  LettingGo(const LettingGo&) = delete;
  LettingGo& operator=(const LettingGo&) = delete;
  ~LettingGo() {
    if (source_.let_go) {
      source_.let_go();
    }
  }

private:
  const BlockCopySource& source_;
};

Error too_fast(BlockDevice& device) {
  return {ErrorKind::stale, device.name() + ": its owner is faster than it can be copied",
          "copy it by its owner's control socket, which can hold changes"};
}

} // namespace

Result<SuperblockLook> look_at_superblocks(BlockDevice& device) {
  for (int looks = 0; looks < looks_max; ++looks) {
    SuperblockLook look;
    const Result<format::Superblock> before = find_superblock(device);
    if (!before) {
      return before.error();
    }
    for (unsigned copy = 0; copy < look.copies.size(); ++copy) {
      const Result<Block> block = read_block(device, copy);
      if (!block) {
        return block.error();
      }
      look.copies.at(copy) = *block;
    }
    const format::CheckedSuperblock same =
        format::check_superblock(look.copies.at(before->copy), before->copy);
    if (same.state != format::SuperblockState::valid ||
        same.superblock.sequence != before->sequence) {
      continue; // Its owner has written another one in between.
    }
    look.current = *before;
    const Result<std::uint64_t> size = device.size_bytes();
    const auto third =
        size ? third_copy_block(before->image_block_count, *size / block_size_bytes) : std::nullopt;
    const Result<Block> block = third ? read_block(device, *third) : Result<Block>(Block{});
    if (!size || !block) {
      return size ? block.error() : size.error();
    }
    const format::CheckedSuperblock found = format::check_superblock(*block, 2);
    if (third && found.state == format::SuperblockState::valid &&
        format::same_store(found.superblock, *before)) {
      look.third = *block;
    }
    return look;
  }
  return too_fast(device);
}

std::optional<std::uint64_t> BlockCopier::third_block() const {
  return third_copy_block(look_.current.image_block_count, device_block_count_);
}

// Who has no key sees which records there are, and not what is in them.
format::Codec BlockCopier::codec() const {
  return format::is_encrypted(look_.current) ? format::Codec::of_frames(look_.current)
                                             : format::Codec(look_.current);
}

Result<BlockCopyReport> BlockCopier::run() {
  Result<SuperblockLook> look = look_at_superblocks(source_.device);
  const Result<std::uint64_t> size = device_.size_bytes();
  if (!look || !size) {
    return look ? size.error() : look.error();
  }
  device_block_count_ = *size / block_size_bytes;
  Status done = wipe_superblocks(look->current);
  if (!done) {
    return done.error();
  }
  const LettingGo at_the_end(source_);
  const int readings = source_.hold ? readings_max_with_hold : readings_max;
  bool is_read = false;
  for (int reading = 1; !is_read && reading <= readings; ++reading) {
    if (source_.hold && reading == readings) {
      if (Status held = source_.hold(); !held) {
        return held.error();
      }
    }
    const Result<bool> read = read_once(reading > 1);
    if (!read) {
      return read.error();
    }
    is_read = *read;
  }
  if (!is_read) {
    return too_fast(source_.device);
  }
  done = device_.flush();
  done = done ? check() : done;
  done = done ? write_superblocks() : done;
  const format::Superblock& current = look_.current;
  return done ? Result<BlockCopyReport>(BlockCopyReport{
                    .uuid = current.uuid,
                    .generation = generation_,
                    .image_size_bytes = current.image_block_count * block_size_bytes,
                    .encrypted = format::is_encrypted(current),
                    .sealed = (current.features_must_know & format::feature_sealed) != 0,
                    .checked = checked_})
              : done.error();
}

// As a new image's: whatever else happens, no old one's can win.
Status BlockCopier::wipe_superblocks(const format::Superblock& superblock) {
  if (device_block_count_ < superblock.image_block_count) {
    return Error(ErrorKind::no_space,
                 fmt::format("{}: the image has {} bytes and there are {}", device_.name(),
                             superblock.image_block_count * block_size_bytes,
                             device_block_count_ * block_size_bytes),
                 "make it larger");
  }
  const std::vector<std::byte> zeros(format::superblock_count * block_size_bytes);
  Status done = device_.write(0, zeros);
  const auto third = third_copy_block(superblock.image_block_count, device_block_count_);
  if (done && third) {
    done = device_.write(*third * block_size_bytes, std::span(zeros).first(block_size_bytes));
  }
  return done ? device_.flush() : done;
}

// What fails may only have been written by its owner meanwhile.
Result<bool> BlockCopier::read_once(bool hurries) {
  Result<SuperblockLook> before = look_at_superblocks(source_.device);
  if (!before) {
    return before.error();
  }
  if (device_block_count_ < before->current.image_block_count) {
    return Error(ErrorKind::stale, source_.device.name() + ": it has grown meanwhile", "try again");
  }
  look_ = *std::move(before);
  done_bytes_ = 0;
  const format::Superblock& current = look_.current;
  Status done = copy_range(current.zones_start_block, current.image_block_count, hurries);
  done = done ? wipe_ring() : done;
  done = done ? copy_records() : done;
  done = done ? copy_header_area() : done;
  const Result<SuperblockLook> after = look_at_superblocks(source_.device);
  if (!after) {
    return after.error();
  }
  if (!after->is_as(look_)) {
    return false;
  }
  look_.third = after->third;
  return done ? Result<bool>(true) : done.error();
}

Status BlockCopier::copy_range(std::uint64_t from_block, std::uint64_t to_block, bool hurries) {
  const std::uint64_t all_bytes = look_.current.image_block_count * block_size_bytes;
  std::uint64_t at = from_block * block_size_bytes;
  const std::uint64_t end = to_block * block_size_bytes;
  while (at < end) {
    const auto piece = piece_.span().first(std::min<std::uint64_t>(piece_size_bytes, end - at));
    Status done = source_.device.read(at, piece);
    done = done ? device_.write(at, piece) : done;
    if (!done) {
      return done;
    }
    at += piece.size();
    done_bytes_ += piece.size();
    if (target_.progress) {
      target_.progress({.done_bytes = done_bytes_, .all_bytes = all_bytes, .hurries = hurries});
    }
  }
  return {};
}

// Until two readings in a row are the same: slots and metadata are changed beside all else.
Status BlockCopier::copy_header_area() {
  std::vector<std::byte> last;
  for (int looks = 0; looks < looks_max; ++looks) {
    std::vector<std::byte> now(header_size_bytes);
    if (Status read = source_.device.read(header_from_block * block_size_bytes, now); !read) {
      return read;
    }
    if (now == last) {
      return device_.write(header_from_block * block_size_bytes, now);
    }
    last = std::move(now);
  }
  return too_fast(source_.device);
}

// As a new image's ring: of an encrypted one nobody sees how much of it was ever written.
Status BlockCopier::wipe_ring() {
  std::uint64_t at = std::uint64_t{format::ring_start_block} * block_size_bytes;
  const std::uint64_t end = std::uint64_t{look_.current.zones_start_block} * block_size_bytes;
  const bool encrypted = format::is_encrypted(look_.current);
  std::ranges::fill(piece_.span(), std::byte{});
  while (at < end) {
    const auto piece = piece_.span().first(std::min<std::uint64_t>(piece_size_bytes, end - at));
    Status done = encrypted ? random_bytes(piece) : Status();
    done = done ? device_.write(at, piece) : done;
    if (!done) {
      return done;
    }
    at += piece.size();
  }
  return {};
}

// Those that count, by the rules of an opening, and so that a ring that is damaged in its middle is
// noticed.
Status BlockCopier::copy_records() {
  const auto copy = [&](const format::RecordView& record, std::uint32_t position,
                        const RingPosition& /*behind*/) -> Status {
    const std::uint64_t at = format::Geometry::ring_block(position) * block_size_bytes;
    std::vector<std::byte> bytes(std::size_t{record.header().block_count} * block_size_bytes);
    Status done = source_.device.read(at, bytes);
    return done ? device_.write(at, bytes) : done;
  };
  const auto end = RingScanner(source_.device, look_.current, codec()).scan(copy);
  if (!end) {
    return end.error();
  }
  if (end->damaged) {
    return Error(
        ErrorKind::corrupt,
        fmt::format("{}: its log is damaged in the middle: {}", source_.device.name(), end->reason),
        "`repair` mends what can be mended; `salvage` gets out what is intact");
  }
  generation_ = end->behind.sequence;
  return {};
}

// As it will be with its superblocks. What is damaged is not spread.
Status BlockCopier::check() {
  if (format::is_encrypted(look_.current) && target_.keys.empty()) {
    return {};
  }
  OverlayDevice copy(device_);
  for (unsigned block = 0; block < look_.copies.size(); ++block) {
    copy.replace(block, look_.copies.at(block));
  }
  const Result<CheckReport> report = check_image(copy, {}, target_.keys);
  if (!report) {
    return report.error();
  }
  const auto lost = std::ranges::find_if(report->problems, &CheckProblem::data_lost);
  if (lost != report->problems.end()) {
    return Error(
        ErrorKind::corrupt,
        fmt::format("{}: it is damaged: {}: {}", source_.device.name(), lost->place, lost->what),
        "`check` says all of it, `repair` mends what can be mended; `salvage` gets out "
        "what is intact");
  }
  checked_ = true;
  return {};
}

// The current one first: by the other one alone an older state would be found, and parts of it are
// written over.
Status BlockCopier::write_superblocks() {
  const unsigned current = look_.current.copy;
  for (const unsigned copy : {current, 1 - current}) {
    Status written = device_.write_durable(copy * block_size_bytes, look_.copies.at(copy));
    if (!written) {
      return written;
    }
  }
  const auto third = third_block();
  return look_.third && third ? device_.write_durable(*third * block_size_bytes, *look_.third)
                              : Status();
}

} // namespace vnvram
