#include "backup/block_copier.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "backup/record_copier.h"
#include "backup/target_wipe.h"
#include "base/random_bytes.h"
#include "device/guarded_device.h"
#include "format/layout.h"
#include "provision/image_creator.h"
#include "store/third_copy.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr std::uint64_t header_from_block = format::superblock_count;
constexpr std::uint64_t header_to_block = format::ring_start_block;
// The header area, and the two slots of the index behind it.
constexpr std::size_t header_size_bytes = (header_to_block - header_from_block) * block_size_bytes;
constexpr int header_looks_max = 50;
// Of a source that can be held the last one is.
constexpr unsigned readings_max_with_hold = 3;
constexpr unsigned readings_max = 20;

class HoldEnd {
public:
  explicit HoldEnd(const BlockCopySource& source) : source_(source) {}
  HoldEnd(const HoldEnd&) = delete;
  HoldEnd& operator=(const HoldEnd&) = delete;
  ~HoldEnd() {
    if (source_.let_go) {
      source_.let_go();
    }
  }

private:
  const BlockCopySource& source_;
};

bool is_guarded(const BlockDevice& device) {
  return dynamic_cast<const GuardedDevice*>(&device) != nullptr;
}

} // namespace

std::optional<std::uint64_t> BlockCopier::third_block() const {
  return third_copy_block(look_.current.image_block_count, device_block_count_);
}

Result<BlockCopyReport> BlockCopier::run() {
  Status done = prepare();
  done = done ? read() : done;
  done = done ? device_.flush() : done;
  done = done ? check() : done;
  done = done ? write_superblocks() : done;
  const format::Superblock& current = look_.current;
  report_.uuid = current.uuid;
  report_.image_size_bytes = current.image_block_count * block_size_bytes;
  report_.encrypted = format::is_encrypted(current);
  report_.sealed = (current.features_must_know & format::feature_sealed) != 0;
  report_.guard_left_out = is_guarded(source_.device) && !is_guarded(device_);
  return done ? Result<BlockCopyReport>(std::move(report_)) : done.error();
}

// All that can be found out before something is lost for it.
Status BlockCopier::prepare() {
  Result<SuperblockLook> look = look_at_superblocks(source_.device);
  const Result<std::uint64_t> size = device_.size_bytes();
  if (!look || !size) {
    return look ? size.error() : look.error();
  }
  look_ = *std::move(look);
  device_block_count_ = *size / block_size_bytes;
  if (device_block_count_ < look_.current.image_block_count) {
    return Error(ErrorKind::no_space,
                 fmt::format("{}: the image has {} bytes and there are {}", device_.name(),
                             look_.current.image_block_count * block_size_bytes,
                             device_block_count_ * block_size_bytes),
                 "make it larger");
  }
  const bool is_blank = check_creatable(device_).ok();
  Status done = is_blank ? Status() : check_source();
  return done ? TargetWipe(source_.device, device_, look_).run() : done;
}

// What is on its target may be the only good one that there is.
Status BlockCopier::check_source() {
  Status done = look_over_source();
  if (done || done.error().kind() != ErrorKind::stale || !source_.hold) {
    return done;
  }
  done = source_.hold();
  if (done) {
    const HoldEnd afterwards(source_);
    done = look_over_source();
  }
  return done;
}

// An owner that goes on is no damage.
Status BlockCopier::look_over_source() {
  for (unsigned looks = 0; looks < readings_max; ++looks) {
    Result<SuperblockLook> before = look_at_superblocks(source_.device);
    if (!before) {
      return before.error();
    }
    look_ = *std::move(before);
    const auto newest = RecordCopier(source_.device, device_, look_).look_over();
    const Result<SuperblockLook> after = look_at_superblocks(source_.device);
    if (!after) {
      return after.error();
    }
    if (!after->is_as(look_)) {
      continue;
    }
    return newest ? check_all(source_.device) : Status(newest.error());
  }
  return too_fast(source_.device);
}

Status BlockCopier::read() {
  const HoldEnd at_the_end(source_);
  const unsigned readings = source_.hold ? readings_max_with_hold : readings_max;
  for (unsigned reading = 1; reading <= readings; ++reading) {
    if (source_.hold && reading == readings) {
      if (Status held = source_.hold(); !held) {
        return held;
      }
      report_.held = true;
    }
    report_.readings = reading;
    const Result<bool> read = read_once(reading > 1);
    if (!read || *read) {
      return read ? Status() : read.error();
    }
  }
  return too_fast(source_.device);
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
  if (done) {
    const auto newest = RecordCopier(source_.device, device_, look_).copy();
    report_.generation = newest ? *newest : 0;
    done = newest ? Status() : newest.error();
  }
  done = done ? copy_header_area() : done;
  const Result<SuperblockLook> after = look_at_superblocks(source_.device);
  if (!after) {
    return after.error();
  }
  if (!after->is_as(look_) || (!done && done.error().kind() == ErrorKind::stale)) {
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
      done =
          target_.progress({.done_bytes = done_bytes_, .all_bytes = all_bytes, .hurries = hurries});
      if (!done) {
        return done;
      }
    }
  }
  return {};
}

// Until two readings in a row are the same: slots and metadata are changed beside all else.
Status BlockCopier::copy_header_area() {
  std::vector<std::byte> last;
  for (int looks = 0; looks < header_looks_max; ++looks) {
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

// As it will be with its superblocks.
Status BlockCopier::check() {
  OverlayDevice copy(device_);
  for (unsigned block = 0; block < look_.copies.size(); ++block) {
    copy.replace(block, look_.copies.at(block));
  }
  return check_all(copy);
}

// What is damaged is not spread.
Status BlockCopier::check_all(BlockDevice& image) {
  report_.problems.clear();
  if (format::is_encrypted(look_.current) && target_.keys.empty()) {
    if (!look_.fallback()) {
      report_.problems.emplace_back(look_.current.copy == 0 ? "superblock B: it is not whole"
                                                            : "superblock A: it is not whole");
    }
    return {};
  }
  const Result<CheckReport> report = check_image(image, {}, target_.keys);
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
  for (const CheckProblem& problem : report->problems) {
    report_.problems.push_back(fmt::format("{}: {}", problem.place, problem.what));
  }
  report_.checked = true;
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
