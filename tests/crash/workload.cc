#include "crash/workload.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fmt/core.h>

namespace vnvram::test {

/// Holds the store's own committer thread at the beginning of each operation until the thread that
/// runs the workload has noted what was acknowledged: without it, what is checked would depend on
/// which of the two is faster.
struct Workload::Gate {
  std::mutex mutex;
  std::condition_variable changed;
  const std::thread::id opener = std::this_thread::get_id();
  bool open = true;
  bool someone_waits = false;

  void set(bool now_open) {
    const std::scoped_lock lock(mutex);
    open = now_open;
    changed.notify_all();
  }
  void pass() {
    if (std::this_thread::get_id() == opener) {
      return;
    }
    std::unique_lock lock(mutex);
    someone_waits = !open;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
    someone_waits = false;
  }
  /// False when nobody comes.
  bool wait_for_someone() {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(30), [this] { return someone_waits; });
  }
};

Workload::Workload(const ReplayId& id, WorkloadOptions options) : ExploredRun(id, options) {}

const ExplorerReport& Workload::run() {
  if (create() && open()) {
    for (unsigned i = 0; i < options_.steps && step(); ++i) {
    }
  }
  if (report_.failure.empty()) {
    close();
  }
  return report_;
}

std::unique_ptr<SimulatedDevice> Workload::device() const {
  return std::make_unique<SimulatedDevice>(disk_);
}

bool Workload::open(bool with_threads) {
  OpenOptions options = deterministic_options();
  options.callbacks = CallbackMode::event_fd;
  options.background = with_threads;
  if (with_threads) {
    options.cache_size_bytes = cache_size_default_bytes; // Only the ring shall ask for checkpoints.
    options.deferral = std::chrono::hours(24);           // Nor shall the clock ask for commits.
  }
  options.idle_checkpoint_after = std::chrono::milliseconds(0);
  if (options_.grows) {
    options.grow_max_bytes = disk_->cache().size() + block_size_bytes * (8 + random_.below(24));
  }
  auto store = Store::open(device(), options);
  if (!store) {
    return fail("open: " + store.error().text());
  }
  store_ = std::move(*store);
  explorer_->acknowledge(explorer_->newest(), store_->info().generation);
  explorer_->examine_now();
  return compare();
}

bool Workload::compare() {
  const Result<StoreState> found = StoreState::capture(*store_);
  if (!found) {
    return fail("read: " + found.error().text());
  }
  if (!(*found == explorer_->newest())) {
    return fail("the open store differs from the model: " + explorer_->newest().difference(*found));
  }
  return report_.failure.empty();
}

bool Workload::step() {
  const WorkloadMix& mix = options_.mix;
  const std::array<unsigned, 12> weights = {mix.write_whole + mix.write_range + mix.several_blobs +
                                                mix.set_size,
                                            mix.group_commit,
                                            mix.register_more,
                                            mix.remove,
                                            mix.checkpoint,
                                            mix.commit_inside_checkpoint,
                                            mix.reopen,
                                            mix.grow_image,
                                            mix.fill_ring,
                                            mix.deferred,
                                            mix.flush,
                                            mix.deferred_inside};
  unsigned total = 0;
  for (const unsigned weight : weights) {
    total += weight;
  }
  std::uint64_t draw = random_.below(total);
  std::size_t kind = 0;
  while (draw >= weights.at(kind)) {
    draw -= weights.at(kind++);
  }
  bool done = false;
  switch (kind) {
  case 0: done = commit_some(); break;
  case 1: done = group_commit(); break;
  case 2: done = register_more(); break;
  case 3: done = remove_one(); break;
  case 4: done = checkpoint(false); break;
  case 5: done = checkpoint(true); break;
  case 6: done = reopen(); break;
  case 7: done = grow_image(); break;
  case 8: done = fill_ring_inside_checkpoint(); break;
  case 9: done = defer_some(); break;
  case 10: done = flush(); break;
  default: done = defer_inside(); break;
  }
  return done && compare();
}

bool Workload::commit(const Transaction& transaction) {
  StoreState next = explorer_->newest();
  next.apply(transaction);
  explorer_->submit(next);
  const std::size_t submitted = explorer_->unacknowledged(); // What was deferred before, and this.
  return succeeded("commit", store_->commit(transaction)) && acknowledge(submitted);
}

bool Workload::acknowledge(std::size_t count) {
  explorer_->acknowledge_submitted(count, store_->info().generation);
  explorer_->examine_now();
  return report_.failure.empty();
}

bool Workload::commit_some() {
  if (explorer_->newest().blobs().empty()) {
    return register_more();
  }
  const WorkloadMix& mix = options_.mix;
  const bool several = random_.below(mix.write_whole + mix.write_range + mix.several_blobs +
                                     mix.set_size) < mix.several_blobs;
  return commit(some_updates(several ? 3 : 1));
}

/// Two more transactions arrive while the first one's record is being written. The store's
/// committer writes them; the ring is empty before, so that no checkpoint runs beside it.
bool Workload::group_commit() {
  if (explorer_->newest().blobs().empty()) {
    return register_more();
  }
  store_.reset();
  explorer_->examine_now();
  if (!open(true)) {
    return false;
  }
  Gate gate;
  std::size_t answers = 0;
  Status answer;
  bool arrived = false;
  const auto defer_one = [&] {
    return options_.mix.deferred == 0 ||
           defer(some_deferred_write(some_blob(), DeferredSize::small));
  };
  bool done = defer_one();
  explorer_->set_operation_hook([&](const SimulatedOperation& operation) {
    if (arrived || operation.kind != OperationKind::write_durable) {
      return;
    }
    arrived = true;
    done = defer_one() && done;
    gate.set(false);
    for (int i = 0; i < 2; ++i) {
      Transaction transaction = some_updates(2);
      StoreState next = explorer_->newest();
      next.apply(transaction);
      explorer_->submit(next);
      store_->commit_async(std::move(transaction), [&](const Status& status) {
        ++answers;
        if (!status) {
          answer = status;
        }
      });
    }
  });
  disk_->set_gate([&] { gate.pass(); });
  done = commit(some_updates(2)) && done;
  gate.set(true);
  while (arrived && answers < 2) {
    struct pollfd due = {.fd = store_->event_fd(), .events = POLLIN, .revents = 0};
    if (::poll(&due, 1, 30000) <= 0) {
      done = fail("asynchronous commits are not answered");
      break;
    }
    store_->dispatch();
  }
  disk_->set_gate({});
  explorer_->set_operation_hook({});
  if (!succeeded("asynchronous commit", answer) || !done) {
    store_.reset(); // While what its callbacks refer to is there.
    return false;
  }
  explorer_->acknowledge_submitted(explorer_->unacknowledged(), store_->info().generation);
  explorer_->examine_now();
  store_.reset();
  return open();
}

/// While a checkpoint is under way, commits fill the ring to its last block: what the checkpoint
/// has brought home must not be overwritten before its superblock is durable. The store's own
/// thread, which is asked for a checkpoint by so full a ring, is held until this one is done.
bool Workload::fill_ring_inside_checkpoint() {
  store_.reset();
  explorer_->examine_now();
  if (!open(true)) {
    return false;
  }
  const auto used_bytes = [&] { return store_->info().ring_used_bytes; };
  const std::uint64_t ring_bytes = store_->info().ring_size_bytes;
  const auto commit_one_block = [&] {
    Transaction transaction;
    transaction.write_range(some_blob(), 0, random_.bytes(1));
    return commit(transaction);
  };
  bool done = true;
  while (done && 2 * (used_bytes() + block_size_bytes) < ring_bytes) {
    done = commit_one_block();
  }
  Gate gate;
  disk_->set_gate([&] { gate.pass(); });
  gate.set(false);
  const std::uint64_t at = random_.below(6);
  std::uint64_t seen = 0;
  explorer_->set_operation_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read || seen++ != at) {
      return;
    }
    while (done && used_bytes() + block_size_bytes <= ring_bytes) {
      done = commit_one_block();
    }
  });
  const Status status = store_->checkpoint();
  explorer_->set_operation_hook({});
  explorer_->examine_now();
  if (done && seen > at && !gate.wait_for_someone()) {
    done = fail("a full ring has asked for no checkpoint");
  }
  gate.set(true);
  // Comes after the one of the store's thread, if that has begun.
  done = succeeded("checkpoint", status) && succeeded("checkpoint", store_->checkpoint()) && done;
  store_.reset();
  disk_->set_gate({});
  return done && open();
}

/// A set of which some may be there already, some larger than they were. Half of the new ones come
/// with a content.
bool Workload::register_more() {
  std::vector<NewBlob> blobs;
  Transaction contents;
  StoreState next = explorer_->newest();
  for (std::uint64_t i = 1 + random_.below(3); i > 0; --i) {
    const std::string name(1, static_cast<char>('a' + random_.below(6)));
    const bool twice = std::any_of(blobs.begin(), blobs.end(),
                                   [&](const NewBlob& blob) { return blob.spec.name == name; });
    if (twice) {
      continue;
    }
    blobs.push_back({.spec = spec_of(name, 1 + random_.below(options_.blob_size_bytes_cap))});
    const std::uint64_t size_max = blobs.back().spec.size_max_bytes;
    if (!next.blobs().contains(name) && size_max % 2 == 0) {
      const std::vector<std::byte> content(size_max / 2, static_cast<std::byte>(name.front()));
      blobs.back().content = content;
      contents.write(name, std::vector<std::byte>(content));
    }
    next.register_blob(blobs.back().spec);
  }
  next.apply(contents);
  explorer_->submit(next);
  const std::size_t submitted = explorer_->unacknowledged();
  const Status status = store_->register_blobs(blobs);
  if (!status && status.error().kind() == ErrorKind::no_space) {
    explorer_->withdraw();
    return report_.failure.empty();
  }
  return succeeded("register", status) && acknowledge(submitted);
}

bool Workload::remove_one() {
  if (explorer_->newest().blobs().size() < 2) {
    return register_more();
  }
  return remove(some_blob());
}

bool Workload::remove(const std::string& blob) {
  StoreState next = explorer_->newest();
  next.remove_blob(blob);
  explorer_->submit(next);
  const std::size_t submitted = explorer_->unacknowledged();
  return succeeded("remove", store_->remove_blob(blob)) && acknowledge(submitted);
}

/// For two more small commits without another checkpoint, which would wait for the one under way.
bool Workload::ring_has_room() const {
  const StoreInfo info = store_->info();
  return 2 * (info.ring_used_bytes + 3 * block_size_bytes) < info.ring_size_bytes;
}

/// A commit may come at any operation of a checkpoint; it is asked for from inside that operation.
bool Workload::checkpoint(bool commit_inside) {
  // Something to bring home, and no more than leaves room in the ring for the commits inside.
  if (!succeeded("checkpoint", store_->checkpoint()) || !commit_some()) {
    return false;
  }
  bool inside = false;
  bool done = true;
  const std::uint64_t at = random_.below(8);
  std::uint64_t seen = 0;
  if (commit_inside && !explorer_->newest().blobs().empty()) {
    explorer_->set_operation_hook([&](const SimulatedOperation& operation) {
      const std::uint64_t now = seen;
      if (inside || operation.kind == OperationKind::read || !done || !ring_has_room()) {
        return;
      }
      ++seen;
      if (now == at || now == at + 2) {
        inside = true;
        done = commit(some_updates(2));
        inside = false;
      }
    });
  }
  const Status status = store_->checkpoint();
  explorer_->set_operation_hook({});
  if (!done || !succeeded("checkpoint", status)) {
    return false;
  }
  explorer_->examine_now();
  return report_.failure.empty();
}

bool Workload::close() {
  if (!succeeded("close", store_->close())) {
    return false;
  }
  explorer_->acknowledge_submitted(explorer_->unacknowledged(), 0);
  explorer_->examine_now();
  return report_.failure.empty();
}

bool Workload::reopen() {
  if (random_.below(3) != 0 && !close()) {
    return false;
  }
  store_.reset(); // Without close() it is the destructor that closes.
  return open();
}

bool Workload::grow_image() {
  if (!close()) {
    return false;
  }
  store_.reset();
  const auto grown = device();
  const std::uint64_t size = *grown->size_bytes() + block_size_bytes * (8 + random_.below(24));
  if (!succeeded("resize", resize_image(*grown, size, deterministic_options().keys))) {
    return false;
  }
  grown->unlock();
  explorer_->examine_now();
  return open();
}

} // namespace vnvram::test
