#include "backup/owner_move_source.h"

#include <algorithm>
#include <chrono>

namespace vnvram {
namespace {

// A machine's devices wait as long, if whoever moves the image dies just then.
constexpr std::chrono::seconds held_max{20};

} // namespace

Status OwnerMoveSource::begin() {
  mirror_ = 0;
  const Result<OwnerStatus> status = owner_.status();
  if (!status) {
    return status.error();
  }
  owner_pid_ = status->pid;
  const auto begun = owner_.take_written(mirror_);
  return begun ? Status() : begun.error();
}

Result<std::vector<ByteRange>> OwnerMoveSource::take_written() {
  const auto written = owner_.take_written(mirror_);
  if (!written) {
    return written.error();
  }
  std::vector<ByteRange> ranges;
  for (const OwnerClient::WrittenRange& range : *written) {
    ranges.push_back({.offset_bytes = range.offset_bytes, .length_bytes = range.length_bytes});
  }
  return ranges;
}

Status OwnerMoveSource::hold() {
  const Result<std::uint64_t> held = owner_.hold_alone(held_max);
  if (held) {
    hold_ = *held;
    last_hold_ = *held;
  }
  return held ? Status() : held.error();
}

void OwnerMoveSource::let_go() {
  if (hold_) {
    // If that fails, it ends by itself.
    static_cast<void>(owner_.release_own(*hold_));
    hold_.reset();
  }
}

void OwnerMoveSource::end_hold(OwnerClient& same_owner, const OwnerStatus& status) const {
  if (last_hold_ != 0 && status.pid == owner_pid_) { // None is everybody's.
    static_cast<void>(same_owner.release_own(last_hold_));
  }
}

Result<MoveSource::Sealed> OwnerMoveSource::sealed_superblocks(const HandOverNumber& number) {
  auto image = owner_.sealed_superblocks(number);
  if (!image) {
    return image.error();
  }
  Sealed sealed{.superblocks = {}, .location = std::move(image->location)};
  bool are_blocks = image->superblocks.size() == sealed.superblocks.size();
  for (unsigned copy = 0; are_blocks && copy < sealed.superblocks.size(); ++copy) {
    const std::vector<std::byte>& block = image->superblocks.at(copy);
    are_blocks = block.size() == sealed.superblocks.at(copy).size();
    if (are_blocks) {
      std::ranges::copy(block, sealed.superblocks.at(copy).begin());
    }
  }
  return are_blocks
             ? Result<Sealed>(std::move(sealed))
             : Error(ErrorKind::corrupt,
                     device_.name() + ": the image's owner has answered with no superblocks");
}

Status OwnerMoveSource::leave(const HandOverNumber& number, const std::string& to) {
  return owner_.leave(hold_.value_or(0), number, to);
}

} // namespace vnvram
