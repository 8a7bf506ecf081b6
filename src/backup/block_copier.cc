#include "backup/block_copier.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "backup/record_copier.h"
#include "backup/target_wipe.h"
#include "backup/write_buffer.h"
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

// Beyond that whoever is held waits for the target, too.
constexpr std::uint64_t buffered_max_bytes = std::uint64_t{64} << 20U;

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

Status BlockCopier::copy() {
  Status done = prepare();
  done = done ? read() : done;
  done = done ? device_.flush() : done;
  done = done ? check() : done;
  return done ? write_superblocks() : done;
}

Result<BlockCopyReport> BlockCopier::run() {
  const Status done = copy();
  if (!from_.refusal()) {
    return from_.refusal().error();
  }
  if (!done && done.error().kind() == ErrorKind::stale && source_.hold) { // It was asked to wait.
    return Error(ErrorKind::stale, done.error().cause(),
                 "try again when less is written to it, or when its machine is off");
  }
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
  Result<SuperblockLook> look = look_at_superblocks(from_);
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
  // At no pace: what is taken from the target may be the source's.
  return done ? TargetWipe(source_.device, device_, look_).run(is_blank) : done;
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
    Result<SuperblockLook> before = look_at_superblocks(from_);
    if (!before) {
      return before.error();
    }
    look_ = *std::move(before);
    const auto newest = RecordCopier(from_, device_, look_).look_over();
    const Result<SuperblockLook> after = look_at_superblocks(from_);
    if (!after) {
      return after.error();
    }
    if (!after->is_as(look_)) {
      continue;
    }
    return newest ? check_all(from_) : Status(newest.error());
  }
  return too_fast(from_);
}

Status BlockCopier::read() {
  const unsigned readings = source_.hold ? readings_max_with_hold : readings_max;
  for (unsigned reading = 1; reading <= readings; ++reading) {
    report_.readings = reading;
    const bool is_held = source_.hold && reading == readings;
    const Result<bool> read = is_held ? read_held() : read_once(device_, reading > 1);
    if (!read || *read) {
      return read ? Status() : read.error();
    }
  }
  return too_fast(from_);
}

// The target may be slow, and a guest's command waits meanwhile.
Result<bool> BlockCopier::read_held() {
  if (Status held = source_.hold(); !held) {
    return held.error();
  }
  std::optional<HoldEnd> until_read(std::in_place, source_);
  report_.held = true;
  if (look_.current.image_block_count * block_size_bytes > buffered_max_bytes) {
    return read_once(device_, true);
  }
  WriteBuffer buffer(device_);
  Result<bool> read = read_once(buffer, true);
  until_read.reset();
  if (read && *read) {
    const Status written = buffer.write_out();
    read = written ? read : written.error();
  }
  return read;
}

// What fails may only have been written by its owner meanwhile.
Result<bool> BlockCopier::read_once(BlockDevice& to, bool hurries) {
  Result<SuperblockLook> before = look_at_superblocks(from_);
  if (!before) {
    return before.error();
  }
  if (device_block_count_ < before->current.image_block_count) {
    return Error(ErrorKind::stale, source_.device.name() + ": it has grown meanwhile", "try again");
  }
  look_ = *std::move(before);
  done_bytes_ = 0;
  tell(hurries);
  const format::Superblock& current = look_.current;
  Status done = copy_range(to, current.zones_start_block, current.image_block_count, hurries);
  done = done ? wipe_ring(to) : done;
  if (done) {
    const auto newest = RecordCopier(from_, to, look_).copy();
    report_.generation = newest ? *newest : 0;
    done = newest ? Status() : newest.error();
  }
  done = done ? copy_header_area(to) : done;
  const Result<SuperblockLook> after = look_at_superblocks(from_);
  if (!after) {
    return after.error();
  }
  if (!after->is_as(look_) || (!done && done.error().kind() == ErrorKind::stale)) {
    return false;
  }
  look_.third = after->third;
  return done ? Result<bool>(true) : done.error();
}

void BlockCopier::tell(bool hurries) const {
  if (target_.progress) {
    target_.progress({.done_bytes = done_bytes_,
                      .all_bytes = look_.current.image_block_count * block_size_bytes,
                      .hurries = hurries});
  }
}

Status BlockCopier::copy_range(BlockDevice& to, std::uint64_t from_block, std::uint64_t to_block,
                               bool hurries) {
  std::uint64_t at = from_block * block_size_bytes;
  const std::uint64_t end = to_block * block_size_bytes;
  while (at < end) {
    const auto piece = piece_.span().first(std::min<std::uint64_t>(piece_size_bytes, end - at));
    Status done = from_.read(at, piece);
    done = done ? to.write(at, piece) : done;
    if (!done) {
      return done;
    }
    at += piece.size();
    done_bytes_ += piece.size();
    tell(hurries);
  }
  return {};
}

// Until two readings in a row are the same: slots and metadata are changed beside all else.
Status BlockCopier::copy_header_area(BlockDevice& to) {
  std::vector<std::byte> last;
  for (int looks = 0; looks < header_looks_max; ++looks) {
    std::vector<std::byte> now(header_size_bytes);
    if (Status read = from_.read(header_from_block * block_size_bytes, now); !read) {
      return read;
    }
    if (now == last) {
      return to.write(header_from_block * block_size_bytes, now);
    }
    last = std::move(now);
  }
  return too_fast(from_);
}

// As a new image's ring: of an encrypted one nobody sees how much of it was ever written.
Status BlockCopier::wipe_ring(BlockDevice& to) {
  std::uint64_t at = std::uint64_t{format::ring_start_block} * block_size_bytes;
  const std::uint64_t end = std::uint64_t{look_.current.zones_start_block} * block_size_bytes;
  const bool encrypted = format::is_encrypted(look_.current);
  std::ranges::fill(piece_.span(), std::byte{});
  while (at < end) {
    const auto piece = piece_.span().first(std::min<std::uint64_t>(piece_size_bytes, end - at));
    Status done = encrypted ? random_bytes(piece) : Status();
    done = done ? to.write(at, piece) : done;
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
Status BlockCopier::write_each_superblock() {
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

// All of them or none: whoever hears of a failure looks for no image there.
Status BlockCopier::write_superblocks() {
  Status written = write_each_superblock();
  if (written) {
    return written;
  }
  const std::vector<std::byte> zeros(format::superblock_count * block_size_bytes);
  Status taken = device_.write_durable(0, zeros);
  if (const auto third = third_block(); taken && third) {
    taken =
        device_.write_durable(*third * block_size_bytes, std::span(zeros).first(block_size_bytes));
  }
  return taken
             ? written
             : Error(written.error().kind(),
                     written.error().cause() + "; what is there may be a whole image all the same",
                     written.error().remedy());
}

} // namespace vnvram
