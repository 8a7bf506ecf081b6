// How an engine brings its homes up to date: checkpoints, and what a superblock says beyond them
// (the image's size, its seal). And whether the device still holds what it was made to hold.
#include <cassert>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

#include <fmt/core.h>

#include "base/barrier.h"
#include "store/engine.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {

namespace {

// How soon an owner that has nothing to do notices that its file is gone.
constexpr std::chrono::seconds name_watch_interval{1};

} // namespace

Status Engine::checkpoint() {
  const Status refused = refuse_commit();
  return refused ? run_checkpoint(false) : refused;
}

Status Engine::write_superblock(const format::Superblock& superblock) {
  format::Superblock next = superblock;
  next.sequence = superblock_.sequence + 1;
  codec_.finish(next, 1 - superblock_.copy); // INV4a: the current one stays whole.
  const std::uint64_t offset_bytes =
      format::Geometry::superblock_block(next.copy) * block_size_bytes;
  const auto bytes = std::as_bytes(std::span(&next, 1));
  Status written;
  if (!being_created_ && kept(Barrier::look_before_superblock)) {
    written = check_owner(); // Directly before: another content's superblock is not lost.
  }
  if (!being_created_ && written) {
    if (!has_superblock_) { // Once, in an image's making: a commit may look at it at any other
                            // time.
      has_superblock_ = true;
    }
    written = kept(Barrier::superblock_durability) ? device_->write_durable(offset_bytes, bytes)
                                                   : device_->write(offset_bytes, bytes);
  }
  if (written) {
    const std::lock_guard lock(mutex_);
    superblock_ = next;
  }
  return written;
}

// An owner without one goes on: nothing depends on it.
void Engine::find_third_copy() {
  const auto room = find_room_for_third_copy(*device_, superblock_);
  third_copy_block_ = room ? *room : std::nullopt;
}

Status Engine::write_third_copy(const format::Superblock& superblock) {
  if (!third_copy_block_ || !kept(Barrier::third_superblock)) {
    return {};
  }
  format::Superblock third = superblock;
  third.sequence = superblock_.sequence + 1;
  const Status cleared = clear_old_third_copy(*device_, third, *third_copy_block_);
  return cleared ? vnvram::write_third_copy(*device_, *third_copy_block_, third) : cleared;
}

Status Engine::run_checkpoint(bool even_if_empty,
                              const std::function<void(format::Superblock&)>& edit) {
  const std::lock_guard one_at_a_time(checkpoint_mutex_);
  try {
    return carry_out_checkpoint(even_if_empty, edit);
  } catch (const std::exception& failure) { // Memory, as in commit_round().
    return poison(failure, "a checkpoint");
  }
}

Status Engine::carry_out_checkpoint(bool even_if_empty,
                                    const std::function<void(format::Superblock&)>& edit) {
  RingPosition point;
  format::Superblock next;
  {
    const std::lock_guard lock(mutex_);
    checkpoint_requested_ = false;
    if (poisoned_) {
      return *poisoned_;
    }
    if (const std::optional<Error> refused = reason_to_refuse(); refused) {
      return *refused;
    }
    if (ring_.used_blocks == 0 && pages_.dirty_size_bytes() == 0 && !even_if_empty) {
      return {};
    }
  }
  // Before a home is written: what is the other slot to us may be another owner's current one.
  // write_superblock() looks again. Not to know is a failure, too: who waits for room must hear.
  Status done = check_owner();
  if (!done) {
    return poison(done.error(), "a checkpoint");
  }
  {
    const std::lock_guard lock(mutex_);
    pages_.begin_write_back();
    point = ring_;
    next = superblock_;
    if (!kept(Barrier::ring_held_back)) {
      ring_.used_blocks = point.used_blocks = 0;
    }
  }
  const Result<format::IndexEntries> index_entries = pages_.write_back();
  if (!index_entries) {
    return poison(index_entries.error(), "a checkpoint");
  }
  codec_.set_index_entries(next, *index_entries);
  next.generation = point.sequence;
  next.chain = point.chain;
  next.ring_position = point.position;
  if (edit) {
    edit(next);
    // The third copy is durable by the same flush, before the others say so: whatever an owner does
    // after this, it never tells of a time before.
    done = check_owner();
    done = done ? write_third_copy(next) : done;
  }
  if (done && kept(Barrier::checkpoint_flush)) {
    done = device_->flush(); // INV2c: before anything points to what was written.
  }
  if (done) {
    done = write_superblock(next);
  }
  if (!done) {
    return poison(done.error(), "a checkpoint");
  }
  const std::lock_guard lock(mutex_);
  pages_.publish();
  ring_.used_blocks -= point.used_blocks; // INV1a: not before the superblock is durable.
  ++checkpoint_count_;
  room_.notify_all();
  return {};
}

Engine::CheckpointMode Engine::checkpoint_mode_for(const DeviceCapabilities& can,
                                                   const OpenOptions& options) {
  if (can.content_may_change) {
    return CheckpointMode::for_room;
  }
  return options.background ? CheckpointMode::in_background : CheckpointMode::in_commits;
}

bool Engine::checkpoint_is_due() const {
  return 2 * ring_.used_blocks >= geometry_.ring_block_count() ||
         2 * pages_.dirty_size_bytes() >= pages_.cache_size_bytes();
}

void Engine::request_checkpoint() {
  if (checkpoint_mode_ == CheckpointMode::in_commits) {
    const Status done =
        run_checkpoint(false); // A failure has poisoned the store; the next sees it.
    static_cast<void>(done);
    return;
  }
  const std::lock_guard lock(mutex_);
  checkpoint_requested_ = true;
  checkpoint_wake_.notify_one();
}

// At the opening, or with the first commit (OpenOptions::threads_late).
bool Engine::start_checkpointer() {
  if (checkpoint_mode_ == CheckpointMode::in_background && !checkpointer_.joinable() && !stop_) {
    try {
      checkpointer_ = std::jthread([this] { checkpointer_main(); });
    } catch (const std::exception&) { // No thread, or no memory for one.
      return false; // The next commit tries again, and one that finds no room does without it.
    }
  }
  return checkpointer_.joinable();
}

void Engine::checkpointer_main() {
  std::unique_lock lock(mutex_);
  const auto asked = [&] { return stop_ || checkpoint_requested_; };
  const auto idle_clock_runs = [&] {
    return options_.idle_checkpoint_after.count() > 0 && ring_.used_blocks > 0 && !poisoned_;
  };
  const bool named = device_->capabilities().named;
  while (!stop_) {
    bool idle = false;
    const std::uint64_t commits = commit_count_;
    if (idle_clock_runs()) {
      idle = !checkpoint_wake_.wait_for(lock, options_.idle_checkpoint_after, asked) &&
             commits == commit_count_;
    } else if (named && !poisoned_) {
      checkpoint_wake_.wait_for(lock, name_watch_interval,
                                [&] { return asked() || idle_clock_runs(); });
    } else {
      checkpoint_wake_.wait(lock, [&] { return asked() || idle_clock_runs(); });
    }
    if (!stop_ && named && commits == commit_count_ && !poisoned_) {
      lock.unlock();
      watch_name();
      lock.lock();
    }
    if (!stop_ && (idle || checkpoint_requested_)) {
      lock.unlock();
      const Status done = run_checkpoint(false); // A failure has poisoned the store.
      if (!done) {
        note_background(done);
      }
      lock.lock();
    }
  }
}

// A commit asks as well. Who has none to make hears of it, too: as long as the process runs what it
// has can be saved.
void Engine::watch_name() {
  const Status found = device_->check_name();
  const bool only_moved = !found && found.error().kind() == ErrorKind::absent;
  if (!found && !only_moved) {
    const Error poisoned = poison(found.error(), "ownership");
    note_background(poisoned);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(moved_, only_moved) || !only_moved) {
      return;
    }
  }
  if (options_.failed_in_background) {
    options_.failed_in_background(found.error());
  }
}

void Engine::note_background(const Status& done) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(failing_in_background_, !done.ok()) || done) {
      return;
    }
  }
  if (options_.failed_in_background) {
    options_.failed_in_background(done.error());
  }
}

void Engine::stop_checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    checkpoint_wake_.notify_one();
  }
  if (checkpointer_.joinable()) {
    checkpointer_.join();
  }
}

Status Engine::grow(std::uint64_t image_block_count) {
  const format::Geometry geometry(image_block_count, geometry_.ring_block_count());
  assert(geometry.valid() && image_block_count >= geometry_.image_block_count());
  format::Superblock grown = superblock_;
  grown.image_block_count = image_block_count;
  const auto room = find_room_for_third_copy(*device_, grown);
  third_copy_block_ = room ? *room : std::nullopt;
  // Twice, so that both copies know the new size.
  for (int copy = 0; copy < 2; ++copy) {
    const Status done = run_checkpoint(true, [&](format::Superblock& superblock) {
      superblock.image_block_count = image_block_count;
    });
    if (!done) {
      return done;
    }
  }
  const Result<std::uint64_t> size = device_->size_bytes();
  const std::lock_guard lock(mutex_);
  device_block_count_ = size ? *size / block_size_bytes : image_block_count;
  geometry_ = geometry;
  pages_.grow(geometry);
  directory_.grow(geometry.page_count());
  return {};
}

// ---- Sealing, and looking again
// ------------------------------------------------------------------

Status Engine::seal() {
  const Status refused = refuse_any_write();
  if (!refused && !writes()) {
    return refused;
  }
  {
    const std::lock_guard lock(mutex_);
    sealed_ = true; // From here on no commit begins; those that have begun are waited for.
  }
  queue_.drain();
  const Status flushed = flush();
  return flushed ? mark_sealed(true) : flushed;
}

Status Engine::unseal() {
  const Status refused = refuse_any_write();
  const Status marked = refused ? mark_sealed(false) : refused;
  if (marked) {
    const std::lock_guard lock(mutex_);
    sealed_ = false;
  }
  return marked;
}

// Both copies: whichever rots, the other says the same.
Status Engine::mark_sealed(bool sealed) {
  {
    const std::lock_guard lock(mutex_);
    const bool is_marked = (superblock_.features_must_know & format::feature_sealed) != 0;
    if (is_marked == sealed) {
      return {};
    }
  }
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const Status marked = run_checkpoint(true, [&](format::Superblock& superblock) {
      superblock.features_must_know = (superblock.features_must_know & ~format::feature_sealed) |
                                      (sealed ? format::feature_sealed : 0);
    });
    if (!marked) {
      return marked;
    }
  }
  return {};
}

// The whole ring, and not only its newest record: a write that was on its way when the content was
// put back may have landed on it afterwards, behind records that are not there any more.
Result<bool> Engine::is_current() {
  const Result<SuperblockPair> pair = read_superblocks(*device_);
  if (!pair) {
    return pair.error();
  }
  format::Superblock superblock{};
  RingPosition ring;
  {
    const std::lock_guard lock(mutex_);
    superblock = superblock_;
    ring = ring_;
  }
  const format::Superblock* current = pair->current();
  if (current == nullptr || std::memcmp(current, &superblock, sizeof(superblock)) != 0) {
    return false;
  }
  RingScanner scanner(*device_, superblock, codec_);
  const auto end = scanner.scan([](const auto&, auto, const auto&) { return Status{}; });
  if (!end) {
    return end.error();
  }
  return !end->damaged && end->behind.sequence == ring.sequence && end->behind.chain == ring.chain;
}

} // namespace vnvram
