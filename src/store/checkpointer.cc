#include "store/checkpointer.h"

#include <cassert>
#include <chrono>
#include <exception>
#include <utility>

#include "base/barrier.h"

namespace vnvram {

namespace {

// How soon an owner that has nothing to do notices that its file is gone.
// A store that stays idle is looked at less and less often.
constexpr std::chrono::seconds name_watch_pause_min{1};
constexpr std::chrono::seconds name_watch_pause_max{64};

} // namespace

Checkpointer::Checkpointer(SharedState& state, OwnerCheck& owner, SuperblockWriter& superblocks)
    : state_(state), owner_(owner), superblocks_(superblocks),
      mode_(mode_for(state.device->capabilities(), state.options)) {}

Checkpointer::Mode Checkpointer::mode_for(const DeviceCapabilities& can,
                                          const OpenOptions& options) {
  if (can.content_may_change) {
    return Mode::for_room;
  }
  return options.background ? Mode::in_background : Mode::in_commits;
}

Status Checkpointer::run(bool even_if_empty, const Edit& edit,
                         const std::function<Status()>& prepare) {
  const std::lock_guard turn(one_at_a_time_);
  try {
    if (const Status prepared = prepare ? prepare() : Status{}; !prepared) {
      return prepared;
    }
    return carry_out(even_if_empty, edit);
  } catch (const std::exception& failure) { // Memory: nobody knows how far it came.
    return state_.poison(failure, "a checkpoint");
  }
}

Status Checkpointer::carry_out(bool even_if_empty, const Edit& edit) {
  RingPosition point;
  format::Superblock next;
  {
    const std::lock_guard lock(state_.mutex);
    requested_ = false;
    if (state_.poisoned) {
      return *state_.poisoned;
    }
    if (const std::optional<Error> refused = state_.reason_to_refuse(); refused) {
      return *refused;
    }
    if (state_.ring.used_blocks == 0 && state_.pages.dirty_size_bytes() == 0 && !even_if_empty) {
      return {};
    }
  }
  // Before a home is written: what is the other slot to us may be another owner's current one. The
  // superblock's writer looks again. Not to know is a failure, too: who waits for room must hear.
  Status done = owner_.look();
  if (!done) {
    return state_.poison(done.error(), "a checkpoint");
  }
  {
    const std::lock_guard lock(state_.mutex);
    state_.pages.begin_write_back();
    point = state_.ring;
    next = state_.superblock;
    assert(point.sequence >= next.generation);
    if (!kept(Barrier::ring_held_back)) {
      state_.ring.used_blocks = point.used_blocks = 0;
    }
  }
  const Result<format::IndexEntries> index_entries = state_.pages.write_back();
  if (!index_entries) {
    return state_.poison(index_entries.error(), "a checkpoint");
  }
  state_.codec.set_index_entries(next, *index_entries);
  next.generation = point.sequence;
  next.chain = point.chain;
  next.ring_position = point.position;
  if (edit) {
    edit(next);
    // The third copy is durable by the same flush, before the others say so: whatever an owner does
    // after this, it never tells of a time before.
    done = owner_.look();
    done = done ? superblocks_.update_third_copy(next) : done;
  }
  if (done && kept(Barrier::checkpoint_flush)) {
    done = state_.device->flush(); // INV2c: before anything points to what was written.
  }
  if (done) {
    done = superblocks_.write(next);
  }
  if (!done) {
    return state_.poison(done.error(), "a checkpoint");
  }
  const std::lock_guard lock(state_.mutex);
  state_.pages.publish();
  assert(point.used_blocks <= state_.ring.used_blocks); // Commits only add to them.
  state_.ring.used_blocks -= point.used_blocks; // INV1a: not before the superblock is durable.
  ++checkpoint_count_;
  last_checkpoint_ = state_.clock.now();
  state_.room.notify_all();
  return {};
}

void Checkpointer::write_counters(StoreCounters& counters) const {
  const std::lock_guard lock(state_.mutex);
  counters.checkpoints = checkpoint_count_;
  if (checkpoint_count_ > 0) {
    counters.last_checkpoint_age = state_.clock.now() - last_checkpoint_;
  }
}

bool Checkpointer::is_due() const {
  return 2 * state_.ring.used_blocks >= state_.geometry.ring_block_count() ||
         2 * state_.pages.dirty_size_bytes() >= state_.pages.cache_size_bytes();
}

void Checkpointer::between_checkpoints(const std::function<void()>& look) {
  const std::lock_guard turn(one_at_a_time_);
  look();
}

void Checkpointer::committed(bool first) {
  ++commit_count_;
  start_thread();
  if (first) {
    wake_.notify_one(); // The idle clock starts.
  }
}

void Checkpointer::request_if_due() {
  {
    const std::lock_guard lock(state_.mutex);
    if (!is_due() || mode_ == Mode::for_room) {
      return;
    }
    if (mode_ == Mode::in_background) {
      requested_ = true;
      wake_.notify_one();
      return;
    }
  }
  const Status done = run(false); // A failure has poisoned the store; the next commit sees it.
  static_cast<void>(done);
}

Status Checkpointer::make_room(std::unique_lock<std::mutex>& lock) {
  if (start_thread()) {
    const std::uint64_t checkpoints = checkpoint_count_;
    requested_ = true;
    wake_.notify_one();
    state_.room.wait(lock, [&] { return checkpoint_count_ != checkpoints || state_.poisoned; });
    return {};
  }
  lock.unlock();
  Status done = run(false);
  lock.lock();
  return done;
}

// At the opening, or with the first commit (OpenOptions::threads_late).
bool Checkpointer::start_thread() {
  if (mode_ == Mode::in_background && !thread_.joinable() && !stop_) {
    try {
      thread_ = std::jthread([this] { thread_main(); });
    } catch (const std::exception&) { // No thread, or no memory for one.
      return false; // The next commit tries again, and one that finds no room does without it.
    }
  }
  return thread_.joinable();
}

void Checkpointer::stop() {
  {
    const std::lock_guard lock(state_.mutex);
    stop_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool Checkpointer::idle_clock_runs() const {
  return state_.options.idle_checkpoint_after.count() > 0 && state_.ring.used_blocks > 0 &&
         !state_.poisoned;
}

void Checkpointer::thread_main() {
  std::unique_lock lock(state_.mutex);
  Clock& clock = state_.clock;
  const auto asked = [&] { return stop_ || requested_; };
  const auto asked_or_counting = [&] { return asked() || idle_clock_runs(); };
  const bool named = state_.device->capabilities().named;
  std::chrono::seconds name_watch_pause = name_watch_pause_min;
  while (!stop_) {
    bool idle = false;
    const std::uint64_t commits = commit_count_;
    if (idle_clock_runs()) {
      idle = !clock.wait_until(lock, wake_, clock.now() + state_.options.idle_checkpoint_after,
                               asked) &&
             commits == commit_count_;
    } else if (named && !state_.poisoned) {
      clock.wait_until(lock, wake_, clock.now() + name_watch_pause, asked_or_counting);
    } else {
      wake_.wait(lock, asked_or_counting);
    }
    name_watch_pause = commits == commit_count_
                           ? std::min(2 * name_watch_pause, name_watch_pause_max)
                           : name_watch_pause_min;
    if (!stop_ && named && commits == commit_count_ && !state_.poisoned) {
      lock.unlock();
      watch_name();
      lock.lock();
    }
    if (!stop_ && (idle || requested_)) {
      lock.unlock();
      run_in_background(idle);
      lock.lock();
    }
  }
}

void Checkpointer::run_in_background(bool idle) {
  const Status done = run(false); // A failure has poisoned the store.
  if (!done) {
    state_.note_background(done);
  } else if (idle && state_.options.came_to_rest) {
    state_.options.came_to_rest();
  }
}

// A commit asks as well. Who has none to make hears of it, too: as long as the process runs what it
// has can be saved.
void Checkpointer::watch_name() {
  const Status found = state_.device->check_name();
  const bool only_moved = !found && found.error().kind() == ErrorKind::absent;
  if (!found && !only_moved) {
    state_.note_background(state_.poison(found.error(), "ownership"));
    return;
  }
  const bool was_said = std::exchange(moved_, only_moved);
  if (only_moved && !was_said && state_.options.failed_in_background) {
    state_.options.failed_in_background(found.error());
  }
}

} // namespace vnvram
