#include "backup/image_mirror.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "backup/superblock_look.h"
#include "backup/target_wipe.h"
#include "format/layout.h"
#include "provision/image_creator.h"
#include "store/move_marks.h"
#include "store/sealed_error.h"
#include "store/third_copy.h"

namespace vnvram {
namespace {

// So little is copied while changes are held.
constexpr std::uint64_t held_max_bytes = std::uint64_t{1} << 20U;
// If it does not get so little, it is as much as it is.
constexpr unsigned rounds_max = 8;

constexpr std::uint64_t begin_bytes = format::superblock_count * block_size_bytes;

std::uint64_t sum_of(const std::vector<ByteRange>& ranges) {
  return std::accumulate(
      ranges.begin(), ranges.end(), std::uint64_t{0},
      [](std::uint64_t sum, const ByteRange& range) { return sum + range.length_bytes; });
}

} // namespace

Status ImageMirror::run() {
  Status done = prepare();
  done = done ? follow() : done;
  done = done ? finish() : done;
  return from_.refusal() ? done : from_.refusal();
}

// All that can be found out before something is lost for it.
Status ImageMirror::prepare() {
  const Result<SuperblockLook> look = look_at_superblocks(from_);
  const Result<std::uint64_t> size = device_.size_bytes();
  if (!look || !size) {
    return look ? size.error() : look.error();
  }
  superblock_ = look->current;
  device_block_count_ = *size / block_size_bytes;
  if ((superblock_.features_must_know & format::feature_sealed) != 0) {
    return sealed_error(from_.name(), superblock_.generation,
                        HandOverNumber{superblock_.hand_over});
  }
  if (device_block_count_ < superblock_.image_block_count) {
    return Error(ErrorKind::no_space,
                 fmt::format("{}: the image has {} bytes and there are {}", device_.name(),
                             superblock_.image_block_count * block_size_bytes,
                             device_block_count_ * block_size_bytes),
                 "make it larger");
  }
  // INV7k: what is there may be what somebody else has just moved the image to. From here on he
  // cannot.
  Status done = setup_.source.begin();
  const bool is_blank = check_creatable(device_).ok();
  return done ? TargetWipe(setup_.source.device(), device_, *look).run(is_blank) : done;
}

// What is torn because it is just being written is written, and so copied, once more.
Status ImageMirror::follow() {
  Status done;
  std::vector<ByteRange> ranges{
      {.offset_bytes = begin_bytes,
       .length_bytes = superblock_.image_block_count * block_size_bytes - begin_bytes}};
  while (done) {
    ++rounds_;
    done = copy(ranges, rounds_ > 1);
    auto written =
        done ? setup_.source.take_written() : Result<std::vector<ByteRange>>(done.error());
    if (!written) {
      return written.error();
    }
    ranges = *std::move(written);
    if (sum_of(ranges) <= held_max_bytes || rounds_ == rounds_max) {
      break;
    }
  }
  done = done ? device_.flush() : done; // So that little is left for when changes are held.
  done = done ? setup_.source.hold() : done;
  return done ? copy(ranges, true) : done;
}

Status ImageMirror::finish() {
  const auto rest = setup_.source.take_written();
  if (!rest) {
    return rest.error();
  }
  held_bytes_ = sum_of(*rest);
  Status done = copy(*rest, true);
  const auto sealed = done ? setup_.source.sealed_superblocks(setup_.number)
                           : Result<MoveSource::Sealed>(done.error());
  if (!sealed) {
    return sealed.error();
  }
  std::optional<format::Superblock> found;
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const auto checked = format::check_superblock(sealed->superblocks.at(copy), copy);
    if (checked.state == format::SuperblockState::valid &&
        (!found || checked.superblock.sequence > found->sequence)) {
      found = checked.superblock;
    }
  }
  if (!found || !format::same_store(*found, superblock_) ||
      found->image_block_count != superblock_.image_block_count) {
    return Error(ErrorKind::stale, from_.name() + ": it has grown, or was exchanged, meanwhile",
                 "try again");
  }
  superblock_ = *found;
  location_ = sealed->location;
  done = mark_moved_from(device_, superblock_, setup_.number, sealed->location);
  done = done ? device_.flush() : done;
  return done ? write_superblocks(sealed->superblocks) : done;
}

Status ImageMirror::copy(const std::vector<ByteRange>& ranges, bool hurries) {
  const std::uint64_t all_bytes = sum_of(ranges);
  done_bytes_ = 0;
  tell(all_bytes, hurries);
  Status done;
  for (const ByteRange& range : ranges) {
    if (!(done = copy_range(range, all_bytes, hurries))) {
      break;
    }
  }
  return done;
}

// Superblocks are not copied, nor what is behind the image.
Status ImageMirror::copy_range(ByteRange range, std::uint64_t all_bytes, bool hurries) {
  const std::uint64_t end =
      std::min(range.end_bytes(), superblock_.image_block_count * block_size_bytes);
  for (std::uint64_t at = std::max(range.offset_bytes, begin_bytes); at < end;) {
    const auto piece = piece_.span().first(std::min<std::uint64_t>(piece_size_bytes, end - at));
    Status done = from_.read(at, piece);
    done = done ? device_.write(at, piece) : done;
    if (!done) {
      return done;
    }
    at += piece.size();
    done_bytes_ += piece.size();
    tell(all_bytes, hurries);
  }
  return {};
}

void ImageMirror::tell(std::uint64_t all_bytes, bool hurries) const {
  if (setup_.progress) {
    setup_.progress({.done_bytes = done_bytes_, .all_bytes = all_bytes, .hurries = hurries});
  }
}

Status ImageMirror::write_superblocks(const SealedSuperblocks& blocks) {
  Status done;
  for (const unsigned copy : {unsigned{superblock_.copy}, 1U - superblock_.copy}) {
    done = done ? device_.write_durable(copy * block_size_bytes, blocks.at(copy)) : done;
  }
  const auto third = third_copy_block(superblock_.image_block_count, device_block_count_);
  if (done && third) {
    done = device_.write_durable(*third * block_size_bytes, blocks.at(format::third_copy));
  }
  if (!done) {
    static_cast<void>(take_away(device_)); // Whatever is left is refused by its openers.
  }
  return done;
}

Status ImageMirror::take_away(BlockDevice& device) {
  const Result<std::uint64_t> size = device.size_bytes();
  if (!size) {
    return size.error();
  }
  const std::array<std::byte, begin_bytes> zeros{};
  Status done = device.write_durable(0, zeros);
  const auto third = third_copy_block(0, *size / block_size_bytes);
  if (done && third) {
    const auto found = read_third_copy(device);
    done = !found   ? Status(found.error())
           : *found ? device.write_durable(*third * block_size_bytes,
                                           std::span(zeros).first(block_size_bytes))
                    : Status();
  }
  return done;
}

} // namespace vnvram
