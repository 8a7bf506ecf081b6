#include "store/owner_watch.h"

#include <chrono>
#include <cstring>
#include <string>

#include <fmt/core.h>

#include "base/barrier.h"
#include "base/suspended_time.h"
#include "store/owner_name.h"

namespace vnvram {

namespace {

// An owner that comes reads the ring, flushes, and makes two superblocks durable one after the
// other, before it can write half a ring. Over a network that takes longer, and so does a look; a
// server of our own is not far away.
constexpr std::chrono::milliseconds recent_max_here{2};
constexpr std::chrono::milliseconds recent_max_remote{1000};
// Where an overtaken owner is fenced its record does not land: for as long as its storage remembers
// that. And well before such a storage gives the lock of an owner away that it has lost sight of,
// which Ceph does after 30 s where nothing is said; it may have been given back since.
constexpr std::chrono::seconds recent_max_fenced{5};

OwnerWatch::Timing timing_for(const DeviceCapabilities& can) {
  return can.remote || can.read_beside_write ? OwnerWatch::Timing::with_commit
                                             : OwnerWatch::Timing::before_commit;
}

bool same_epoch(const format::Superblock& found, const format::Superblock& own) {
  return found.epoch_number == own.epoch_number && found.epoch_random == own.epoch_random;
}

// INV7l: who opens it in its owner's place says so within that owner's epoch first: what that one
// has written until then counts.
bool is_claimed(const format::Superblock& found, const format::Superblock& own) {
  return same_epoch(found, own) && found.claim != own.claim && found.sequence >= own.sequence &&
         kept(Barrier::opening_claim);
}

/// By what it names alone: while it is being written it may be torn, and damage to it is nobody's
/// claim. The copies are written in turn, so that the other one is the one before the current.
bool is_own(const format::Superblock& found, unsigned copy, const format::Superblock& own) {
  return found.magic == format::superblock_magic && found.uuid == own.uuid &&
         same_epoch(found, own) && !is_claimed(found, own) &&
         found.sequence + (copy == own.copy ? 0 : 1) >= own.sequence;
}

bool is_valid(std::span<const std::byte, block_size_bytes> block, unsigned copy) {
  return format::check_superblock(block, copy).state == format::SuperblockState::valid;
}

/// Who has closed it in good order since has left no name.
std::string owner_of(const format::Superblock& found) {
  const std::string epoch = fmt::format("epoch {}", found.epoch_number);
  return found.owner_pid == 0 ? epoch : fmt::format("{}, {}", epoch, owner_name(found));
}

} // namespace

OwnerWatch::OwnerWatch(BlockDevice& device, Clock& clock)
    : device_(device), timing_(timing_for(device.capabilities())),
      is_fenced_(device.capabilities().lock && device.capabilities().fences),
      recent_max_(device.capabilities().remote && !device.capabilities().lock ? recent_max_remote
                                                                              : recent_max_here),
      clock_(clock) {}

// INV7b: a record that comes with its look, and is one too many, lands where nothing is lost by it.
bool OwnerWatch::looks_first() const {
  if (timing_ == Timing::before_commit) {
    return true;
  }
  const Clock::Duration recent_max = is_fenced_ ? recent_max_fenced : recent_max_;
  const Clock::Time last = last_look_;
  return kept(Barrier::look_first) &&
         (last == Clock::Time::min() || clock_.now() + suspended_time() - last > recent_max);
}

// INV7b: and a little longer, for what was under way.
void OwnerWatch::wait_for_overtaken() const {
  if (timing_ != Timing::with_commit || !kept(Barrier::wait_for_overtaken)) {
    return;
  }
  clock_.sleep_until(epoch_began_ + (5 * recent_max_) / 4);
}

Status OwnerWatch::look(const format::Superblock& own, std::string_view remedy) {
  const Clock::Time begin = clock_.now() + suspended_time();
  alignas(block_size_bytes) SuperblockBytes bytes;
  Status done = device_.read(0, bytes);
  if (done) {
    done = judge(bytes, own, remedy);
  }
  if (done) {
    last_look_ = begin;
  }
  return done;
}

// INV7l: what an owner has written of its own epoch since is no claim, and is not to be undone.
Status OwnerWatch::look_for_same(const format::Superblock& own, std::string_view remedy) {
  alignas(block_size_bytes) SuperblockBytes bytes;
  Status done = device_.read(0, bytes);
  done = done ? judge(bytes, own, remedy) : done;
  if (!done || !kept(Barrier::opening_claim)) {
    return done;
  }
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const auto block = std::span(bytes).subspan(copy * block_size_bytes).first<block_size_bytes>();
    const format::CheckedSuperblock found = format::check_superblock(block, copy);
    const bool is_same = std::memcmp(&found.superblock, &own, sizeof(own)) == 0;
    if (found.state == format::SuperblockState::valid && !is_same &&
        found.superblock.sequence >= own.sequence) {
      return Error(ErrorKind::in_use,
                   fmt::format("{}: written to while it was opened ({})", device_.name(),
                               owner_of(found.superblock)),
                   fmt::format("end that owner first; {}", remedy));
    }
  }
  return {};
}

Status OwnerWatch::look_and_write(const format::Superblock& own, std::string_view remedy,
                                  std::uint64_t offset_bytes, std::span<const std::byte> record,
                                  bool& looked) {
  const Clock::Time begin = clock_.now() + suspended_time();
  alignas(block_size_bytes) SuperblockBytes bytes;
  Status done = device_.write_durable_and_read(offset_bytes, record, 0, bytes);
  looked = done.ok();
  if (done) {
    done = judge(bytes, own, remedy);
  }
  if (done) {
    last_look_ = begin;
  }
  return done;
}

// INV7a: whoever was overtaken commits nothing more, and neither does whose content is not there
// any more: what someone else has put in its place is left as it is.
Status OwnerWatch::judge(const SuperblockBytes& bytes, const format::Superblock& own,
                         std::string_view remedy) const {
  bool any_own = false;
  bool went_back = false;
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const auto block = std::span(bytes).subspan(copy * block_size_bytes).first<block_size_bytes>();
    format::Superblock found;
    std::memcpy(&found, block.data(), sizeof(found));
    if (is_own(found, copy, own)) {
      any_own = true;
      continue;
    }
    if (found.uuid != own.uuid || found.epoch_number < own.epoch_number || !is_valid(block, copy)) {
      continue;
    }
    // Only a whole one counts: damage to a copy is nobody's claim. Nor is one that was there, and
    // older, when we opened: two that raced to open may have left one each.
    // An earlier one of our own in a newer one's place.
    if (same_epoch(found, own) && !is_claimed(found, own)) {
      went_back = went_back || copy == own.copy;
    } else if (found.sequence >= own.sequence) {
      return Error(ErrorKind::in_use,
                   fmt::format("{}: another owner has opened it since ({})", device_.name(),
                               owner_of(found)),
                   fmt::format("end one of the two owners; {}", remedy));
    }
  }
  if ((any_own && !went_back) || !kept(Barrier::replaced_content)) {
    return {};
  }
  return Error(ErrorKind::stale,
               fmt::format("{}: the content was replaced while it was open", device_.name()),
               fmt::format("what is there now is left as it is; {}; open the image again to go on "
                           "with it, if it is one",
                           remedy));
}

} // namespace vnvram
