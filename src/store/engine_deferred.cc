// How an engine takes writes that are answered before they are durable: collected in memory, seen
// by readers, and put at the head of the next record, which is written when the oldest of them is
// as old as it may be, when someone asks, or when there is no room for more.
#include <algorithm>
#include <exception>

#include <fmt/core.h>

#include "base/barrier.h"
#include "store/engine.h"

namespace vnvram {

namespace {

// Of the cache's size, for each of the two batches: what one may take of the memory.
constexpr std::uint64_t deferred_share = 8;
// How often a write looks for room before it takes its turn among the commits.
constexpr unsigned deferring_tries = 16;

} // namespace

DeferredWrites::Limits Engine::deferred_limits(const format::Geometry& geometry,
                                               std::uint64_t cache_size_bytes) {
  const std::uint64_t record_size_bytes =
      std::uint64_t{geometry.record_block_count_max()} * block_size_bytes;
  return {.record_size_bytes =
              record_size_bytes - std::min(record_size_bytes, std::uint64_t{block_size_bytes}),
          .page_count = cache_size_bytes / deferred_share / block_size_bytes};
}

Status Engine::write_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                                    std::span<const std::byte> bytes) {
  Transaction transaction;
  transaction.write_range(name, offset_bytes, bytes);
  return defer(
      {.name = name, .offset_bytes = offset_bytes, .length_bytes = bytes.size(), .to_change = true},
      transaction, [&] { deferred_.write(name, offset_bytes, bytes); });
}

Status Engine::zero_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                                   std::uint64_t length_bytes) {
  Transaction transaction;
  transaction.zero_range(name, offset_bytes, length_bytes);
  return defer(
      {.name = name, .offset_bytes = offset_bytes, .length_bytes = length_bytes, .to_change = true},
      transaction, [&] { deferred_.zero(name, offset_bytes, length_bytes); });
}

// The pages are looked at first: a write that could not be compared with what is there is refused
// now, while someone still listens, and holds up nobody else's later.
Status Engine::defer(const Wanted& written, const Transaction& transaction,
                     const std::function<void()>& collect) {
  const Status at_all = refuse_commit(); // Before anything is looked up, as a commit does it.
  if (!at_all) {
    return at_all;
  }
  const std::uint64_t length_bytes = *written.length_bytes;
  bool may_wait = options_.deferral.count() > 0 || length_bytes == 0;
  PinnedPages pinned;
  std::vector<SpaceRange> ranges;
  for (unsigned tries = 0; may_wait && tries < deferring_tries; ++tries) {
    std::optional<Error> refused;
    bool has_room = false;
    const auto collect_now = [&](std::span<const SpaceRange>) {
      refused = reason_to_refuse();
      if (!refused && sealed_) {
        refused = sealed_error(device_->name(), ring_.sequence);
      }
      has_room = length_bytes == 0 || !kept(Barrier::deferred_bounded) ||
                 deferred_.has_room(written.name, written.offset_bytes, length_bytes);
      if (refused || !has_room || length_bytes == 0) {
        return;
      }
      if (deferred_.empty() && options_.background) {
        may_wait = deferral_clock_.set(std::chrono::steady_clock::now() + options_.deferral);
      }
      if (may_wait) {
        collect();
      }
    };
    const Result<bool> readable = try_to_pin(written, pinned, ranges, collect_now);
    if (!readable || refused) {
      return refused ? *refused : Status(readable.error());
    }
    if (has_room && may_wait) {
      return {};
    }
    const Status flushed = *readable && may_wait ? flush() : Status{};
    if (!flushed) { // Whoever is too fast waits for the device.
      return flushed;
    }
  }
  return commit(transaction); // With those that were taken before, and in its turn.
}

Status Engine::flush() {
  {
    const std::lock_guard lock(mutex_);
    if (deferred_.nothing_waits() && !poisoned_) {
      return {};
    }
  }
  return commit(Transaction());
}

Status Engine::stage_deferred() {
  Transaction transaction;
  {
    const std::lock_guard lock(mutex_);
    if (deferred_.nothing_waits()) {
      return {};
    }
    transaction = deferred_.take();
  }
  bool record_full = false;
  const Status added = stage_.add(transaction, directory_, known_attributes_, record_full);
  if (!added) {
    return of_this_image(added.error()); // They wait on, and all that comes after them.
  }
  if (stage_.empty() || !kept(Barrier::deferred_kept)) { // They change nothing.
    const std::lock_guard lock(mutex_);
    deferred_.taken_is_durable();
  }
  return {};
}

// A record for what was deferred alone.
Status Engine::commit_deferred() {
  const Status written = stage_.empty() ? Status{} : write_record();
  if (written) {
    stage_.begin(ring_.sequence + 1);
  }
  return written;
}

void Engine::commit_overdue() {
  Status done;
  try {
    done = flush();
  } catch (const std::exception&) { // Memory to wait with. What is deferred waits on.
    done = Error(ErrorKind::io, "the commit could not begin");
  }
  note_background(done);
  const std::lock_guard lock(mutex_);
  if (!done && !poisoned_ && !deferred_.nothing_waits()) {
    const bool set = deferral_clock_.set(std::chrono::steady_clock::now() + options_.deferral);
    static_cast<void>(set); // Its thread is this one.
  }
}

} // namespace vnvram
