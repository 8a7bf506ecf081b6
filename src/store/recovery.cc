#include "store/recovery.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdint>

#include <fmt/core.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/host_name.h"
#include "base/random_bytes.h"
#include "store/image_view.h"

namespace vnvram {
namespace {

std::uint64_t seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count(), 0));
}

void name_owner(format::Superblock& superblock) {
  superblock.owner_pid = static_cast<std::uint32_t>(::getpid());
  superblock.owner_host = {};
  host_name().copy(superblock.owner_host.data(), superblock.owner_host.size() - 1);
  superblock.owner_since = seconds_since_1970();
}

} // namespace

Status Recovery::recover() {
  owner_.opens(state_.writes());
  PageStore& pages = state_.pages;
  ImageView view(*state_.device, state_.superblock, state_.codec, pages, state_.directory,
                 OnDamage::stop);
  Status done = view.load_index();
  if (!done) {
    return done;
  }
  bool flushed = false;
  done =
      view.replay_ring([&](const format::RecordView&, std::uint32_t, const RingPosition& behind) {
        state_.ring = behind;
        Status replayed;
        if (state_.writes() &&
            pages.dirty_size_bytes() + view.pending_size_bytes() >= pages.cache_size_bytes()) {
          // More than this opener's cache holds: a checkpoint on the way, of what is surely
          // durable.
          view.install_pending();
          replayed = claims_ && !is_claimed_ ? claim() : replayed;
          if (replayed && !flushed && kept(Barrier::recovery_flush)) {
            replayed = state_.device->flush();
          }
          flushed = true;
          replayed = replayed ? checkpointer_.run(false) : replayed;
        }
        return replayed;
      });
  if (!done) {
    return done;
  }
  if (const RingScanner::End& end = view.ring_end(); end.damaged) {
    return Error{ErrorKind::corrupt, fmt::format("{}: {}", state_.device->name(), end.reason),
                 end.stray
                     ? "if its content was put back to a snapshot while a commit was on its way, "
                       "that commit arrived late: `repair --discard-stray` drops it; if not, "
                       "`salvage` gets out what is intact"
                     : "`repair` mends what can be mended, `salvage` gets out what is "
                       "intact"};
  }
  return view.read_directory({});
}

// INV7l: in the epoch as it is, so that its records go on to count, and from the very superblock
// that was recovered. The flush as in begin_epoch().
Status Recovery::claim() {
  format::Superblock claimed = state_.superblock;
  name_owner(claimed);
  Status done = random_bytes(std::as_writable_bytes(std::span(&claimed.claim, 1)));
  done = done && kept(Barrier::open_flush) ? state_.device->flush() : done;
  const Clock::Time begin = state_.clock.now();
  done = done ? superblocks_.write(claimed) : done;
  claiming_took_ = state_.clock.now() - begin;
  is_claimed_ = done.ok();
  return done;
}

// A write of that owner may be under way with its look behind it: it has more time to land than
// ours took, and a long record that has begun to land more than that.
Result<RingScanner::Next> Recovery::look_behind() {
  RingScanner ring(*state_.device, state_.superblock, state_.codec);
  for (const int times : {4, 32}) {
    state_.clock.sleep_until(state_.clock.now() + (times * claiming_took_));
    if (const Status ours = owner_.look(); !ours) {
      return ours.error();
    }
    Result<RingScanner::Next> next = ring.next_behind(state_.ring);
    if (!next || *next != RingScanner::Next::torn) {
      return next;
    }
  }
  return RingScanner::Next::torn; // It will be nothing else: its writer has died.
}

Result<bool> Recovery::settle() {
  if (!claims_) {
    return true;
  }
  const Status claimed = is_claimed_ ? Status() : claim();
  const Result<RingScanner::Next> next = claimed ? look_behind() : claimed.error();
  return next ? Result<bool>(*next != RingScanner::Next::whole) : next.error();
}

// INV2c: what was read may be in a cache only, and what it replaced is overwritten next. So flush,
// then a checkpoint with a new epoch and an empty ring half a ring away. The superblock goes
// to both copies: if one rots later, the other still knows the epoch, and with it which records
// count.
Status Recovery::begin_epoch() {
  std::uint64_t random = 0;
  const Status got_random = random_bytes(std::as_writable_bytes(std::span(&random, 1)));
  if (!got_random) {
    return got_random;
  }
  const Status flushed = kept(Barrier::open_flush) ? state_.device->flush() : Status{};
  if (!flushed) {
    return flushed;
  }
  const Status announced = anchor_.announce_epoch(random);
  if (!announced) {
    return announced;
  }
  const std::uint32_t ring_block_count = state_.geometry.ring_block_count();
  const Status done = checkpointer_.run(true, [&](format::Superblock& superblock) {
    if (kept(Barrier::new_epoch)) {
      superblock.epoch_number += 1;
      superblock.epoch_random = random;
      superblock.chain = random;
    }
    superblock.ring_position = (state_.ring.position + (ring_block_count / 2)) % ring_block_count;
    superblock.clean = 0;
    superblock.claim = 0;
    name_owner(superblock);
  });
  if (!done) {
    return done;
  }
  owner_.opens(false);
  owner_.watch().epoch_begins();
  state_.ring = ring_start(state_.superblock);
  assert(state_.ring.used_blocks == 0 && state_.ring.position < ring_block_count);
  state_.epoch_number = state_.superblock.epoch_number;
  state_.epoch_random = state_.superblock.epoch_random;
  const Status second =
      kept(Barrier::second_superblock_at_open) ? superblocks_.write(state_.superblock) : Status{};
  return second ? anchor_.epoch_began() : Status(state_.poison(second.error(), "opening"));
}

} // namespace vnvram
