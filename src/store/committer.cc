#include "store/committer.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/core.h>

#include "base/barrier.h"

namespace vnvram {

namespace {

bool is_flush(const CommitQueue::Request& request) {
  return request.transaction() != nullptr && request.transaction()->empty();
}

} // namespace

Committer::Committer(SharedState& state, OwnerCheck& owner, Checkpointer& checkpointer,
                     AnchorKeeper& anchor, Completions& completions)
    : state_(state), checkpointer_(checkpointer),
      stage_(state.pages, state.geometry.record_block_count_max()),
      record_writer_(state, owner, checkpointer, anchor, stage_), completions_(completions),
      queue_([this](Waiting waiting) { return lead_round(waiting); },
             [this](Completions::Prepared answer) { completions_.deliver(std::move(answer)); }) {}

Status Committer::commit(const Transaction& transaction) {
  CommitQueue::Request request(&transaction, state_.clock.now());
  return queue_.run(request);
}

void Committer::commit_async(Transaction transaction, Store::CommitCallback callback) {
  if (state_.options.background) {
    completions_.start();
    queue_.run_async(std::move(transaction), std::move(callback), state_.clock.now());
    return;
  }
  Status result = commit(transaction);
  if (callback != nullptr && state_.options.callbacks == CallbackMode::event_fd) {
    completions_.deliver({{std::move(callback), std::move(result)}});
  } else if (callback != nullptr) {
    callback(std::move(result));
  }
}

Status Committer::flush() {
  {
    const std::lock_guard lock(state_.mutex);
    if (state_.deferred.nothing_waits() && !state_.poisoned) {
      return {};
    }
  }
  return commit(Transaction());
}

Status Committer::change_directory(const CommitQueue::DirectoryChange& change) {
  CommitQueue::Request request(&change);
  return queue_.run(request);
}

void Committer::read_in_turn(const CommitQueue::SlowRead& read) {
  CommitQueue::Request request(&read);
  const Status done = queue_.run(request);
  static_cast<void>(done); // It says itself how it went.
}

void Committer::drain_with_callbacks() {
  std::uint64_t callbacks_run = 0;
  do {
    callbacks_run = completions_.run_count();
    queue_.drain();
    completions_.drain();
  } while (completions_.run_count() != callbacks_run);
}

// A round that is left by an exception would leave all others waiting for ever.
std::size_t Committer::lead_round(Waiting waiting) {
  const auto is_read = [](const CommitQueue::Request* request) {
    return request->slow_read() != nullptr;
  };
  if (is_read(waiting.front())) { // It writes nothing, and need not be allowed to.
    (*waiting.front()->slow_read())();
    return 1;
  }
  const auto first_read = std::find_if(waiting.begin(), waiting.end(), is_read);
  const Waiting writes = waiting.first(static_cast<std::size_t>(first_read - waiting.begin()));
  const std::size_t count = carry_out_or_poison(writes);
  count_commits(writes.first(count));
  return count;
}

void Committer::count_commits(Waiting answered) {
  const Clock::Time now = state_.clock.now();
  for (const CommitQueue::Request* request : answered) {
    if (request->transaction() == nullptr || is_flush(*request)) {
      continue;
    }
    if (request->result) {
      state_.statistics.add(now - request->begun());
    } else {
      state_.statistics.add_failed();
    }
  }
}

std::size_t Committer::carry_out_or_poison(Waiting waiting) {
  try {
    return carry_out(waiting);
  } catch (const std::exception& failure) { // Memory: nobody knows how far it came.
    const Error poisoned = state_.poison(failure, "a commit");
    for (CommitQueue::Request* request : waiting) {
      request->result = poisoned;
    }
    return waiting.size();
  }
}

std::size_t Committer::carry_out(Waiting waiting) {
  const Status allowed = state_.refuse_commit(); // Once: who seals the image waits for this round.
  Status ready = begin_round(*waiting.front());
  if (ready && !allowed) {
    ready = write_deferred();
  }
  if (!ready || !allowed) {
    for (CommitQueue::Request* request : waiting) {
      // A flush of a sealed image has nothing left to do.
      request->result = ready && !is_flush(*request) ? allowed : ready;
    }
    return waiting.size();
  }
  std::size_t count = 1;
  if (waiting.front()->transaction() == nullptr) {
    carry_out_change(*waiting.front());
  } else {
    count = carry_out_group(waiting);
  }
  checkpointer_.request_if_due();
  return count;
}

// What was deferred before is in the stage then, or on the image already.
Status Committer::begin_round(const CommitQueue::Request& first) {
  const Status refused = state_.refuse_any_write();
  if (!refused) {
    return refused;
  }
  stage_.begin(state_.ring.sequence + 1);
  bool left_over = false;
  {
    const std::lock_guard lock(state_.mutex);
    left_over = kept(Barrier::deferred_in_turn) && state_.deferred.is_taken();
  }
  Status staged;
  if (left_over) { // By a record that failed. What was collected since comes behind it.
    staged = stage_deferred();
    staged = staged ? write_deferred() : staged;
  }
  if (staged && (kept(Barrier::deferred_first) || is_flush(first))) {
    staged = stage_deferred();
  }
  return staged;
}

// A directory change has a record of its own: it replaces the directory as a whole.
void Committer::carry_out_change(CommitQueue::Request& request) {
  request.result = write_deferred();
  if (!request.result) {
    return;
  }
  Directory changed = state_.directory;
  const Status staged = (*request.directory_change())(changed, stage_);
  request.result = staged ? Status{} : Status(state_.of_this_image(staged.error()));
  if (request.result && !stage_.fits()) {
    request.result =
        Error{ErrorKind::too_large,
              fmt::format("{}: too much for one transaction of this ring", state_.device->name()),
              "register fewer blobs at a time"};
  }
  if (request.result && !stage_.empty()) {
    request.result = record_writer_.write(&changed);
    return;
  }
  request.result = request.result ? record_writer_.write_nothing() : request.result;
  if (request.result) {
    const std::lock_guard lock(state_.mutex); // What only this process knows: who writes from now.
    state_.directory = std::move(changed);
  }
}

std::size_t Committer::carry_out_group(Waiting waiting) {
  std::size_t count = add_to_stage(waiting);
  if (count == 0) { // The first of them does not fit beside what was deferred.
    const Status written = write_deferred();
    if (!written) {
      waiting.front()->result = written;
      return 1;
    }
    count = add_to_stage(waiting);
  }
  const Status written = stage_.empty() ? record_writer_.write_nothing() : record_writer_.write();
  for (std::size_t i = 0; i < count && !written; ++i) {
    waiting[i]->result = waiting[i]->result ? written : waiting[i]->result;
  }
  return count;
}

// As many as one record holds.
std::size_t Committer::add_to_stage(Waiting waiting) {
  std::size_t count = 0;
  for (; count < waiting.size() && waiting[count]->transaction() != nullptr; ++count) {
    bool record_full = false;
    Status added = stage_.add(*waiting[count]->transaction(), state_.directory,
                              state_.known_attributes, record_full);
    if (record_full) {
      break;
    }
    waiting[count]->result = added ? Status{} : Status(state_.of_this_image(added.error()));
  }
  return count;
}

Status Committer::stage_deferred() {
  Transaction transaction;
  {
    const std::lock_guard lock(state_.mutex);
    if (state_.deferred.nothing_waits()) {
      return {};
    }
    transaction = state_.deferred.take();
  }
  bool record_full = false;
  const Status added =
      stage_.add(transaction, state_.directory, state_.known_attributes, record_full);
  if (!added) {
    return state_.of_this_image(added.error()); // They wait on, and all that comes after them.
  }
  if (stage_.empty() || !kept(Barrier::deferred_kept)) { // They change nothing.
    const std::lock_guard lock(state_.mutex);
    state_.deferred.taken_is_durable();
  }
  return {};
}

Status Committer::write_deferred() {
  const Status written = stage_.empty() ? Status{} : record_writer_.write();
  if (written) {
    stage_.begin(state_.ring.sequence + 1);
  }
  return written;
}

} // namespace vnvram
