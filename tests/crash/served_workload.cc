#include "crash/served_workload.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace vnvram::test {

const ExplorerReport& ServedWorkload::run() {
  if (create() && open()) {
    for (unsigned i = 0; i < options_.steps && step(); ++i) {
    }
  }
  if (report_.failure.empty()) {
    close();
  }
  client_.reset();
  served_.reset(); // Before the explorer.
  return report_;
}

bool ServedWorkload::open() {
  served_.emplace(disk_);
  return succeeded("open", served_->open()) && connect() && acknowledge(0) && compare();
}

bool ServedWorkload::connect() {
  Result<std::unique_ptr<RemoteBlobClient>> connected = served_->client();
  if (!connected) {
    return succeeded("connect", connected.error());
  }
  client_ = *std::move(connected);
  return true;
}

bool ServedWorkload::step() {
  const WorkloadMix& mix = options_.mix;
  const std::array<unsigned, 8> weights = {mix.write_whole + mix.write_range + mix.several_blobs +
                                               mix.set_size,
                                           mix.deferred,
                                           mix.flush,
                                           mix.hold,
                                           mix.register_more,
                                           mix.remove,
                                           mix.new_session,
                                           mix.reopen};
  std::uint64_t draw = random_.below(std::accumulate(weights.begin(), weights.end(), 0U));
  std::size_t kind = 0;
  while (draw >= weights.at(kind)) {
    draw -= weights.at(kind++);
  }
  bool done = false;
  switch (kind) {
  case 0: done = commit_some(); break;
  case 1: done = defer_some(); break;
  case 2: done = flush(); break;
  case 3: done = hold(); break;
  case 4: done = register_more(); break;
  case 5: done = remove_one(); break;
  case 6: done = new_session(); break;
  default: done = reopen(); break;
  }
  return done && compare();
}

void ServedWorkload::submit(const StoreState& state) {
  const std::lock_guard turn(served_->turn());
  explorer_->submit(state);
}

bool ServedWorkload::acknowledge(std::size_t count, std::uint64_t generation) {
  const std::lock_guard turn(served_->turn());
  explorer_->acknowledge_submitted(count, generation);
  explorer_->examine_now();
  return report_.failure.empty();
}

bool ServedWorkload::acknowledge(std::size_t count) {
  const Result<ImageState> state = client_->state();
  return state ? acknowledge(count, state->generation) : succeeded("state", state.error());
}

bool ServedWorkload::commit_some() {
  const WorkloadMix& mix = options_.mix;
  const bool several = random_.below(mix.write_whole + mix.write_range + mix.several_blobs +
                                     mix.set_size) < mix.several_blobs;
  const Transaction transaction = some_updates(several ? 3 : 1);
  StoreState next = explorer_->newest();
  next.apply(transaction);
  submit(next);
  const std::size_t submitted = explorer_->unacknowledged(); // What was deferred before, and this.
  const Result<std::uint64_t> generation = client_->commit(transaction);
  return generation ? acknowledge(submitted, *generation) : succeeded("commit", generation.error());
}

/// Each is a state of its own that a cut may leave, behind all that was submitted before it.
bool ServedWorkload::defer_some() {
  bool done = true;
  for (std::uint64_t i = 1 + random_.below(8); i > 0 && done; --i) {
    const Transaction transaction = some_deferred_write(some_blob(), DeferredSize::any);
    const Transaction::Update& update = transaction.updates().front();
    StoreState next = explorer_->newest();
    next.apply(transaction);
    submit(next);
    done = succeeded("deferred write",
                     update.action == Transaction::Action::zero_range
                         ? client_->zero(update.blob, update.offset_bytes, update.zero_length_bytes,
                                         Durability::deferred)
                         : client_->write(update.blob, update.offset_bytes, update.bytes,
                                          Durability::deferred)) &&
           compare();
  }
  return done;
}

bool ServedWorkload::flush() {
  const std::size_t submitted = explorer_->unacknowledged();
  return succeeded("flush", client_->flush()) && acknowledge(submitted);
}

/// Nothing is on its way when it is answered, so all is on the disk.
bool ServedWorkload::hold() {
  const std::size_t submitted = explorer_->unacknowledged();
  const Result<std::unique_ptr<OwnerClient>> operators = served_->operators();
  if (!operators) {
    return succeeded("connect", operators.error());
  }
  if (!succeeded("hold", (*operators)->hold(std::chrono::hours(1))) || !acknowledge(submitted)) {
    return false;
  }
  const Result<bool> held = (*operators)->release();
  return held ? *held || fail("a hold has ended by itself") : succeeded("release", held.error());
}

bool ServedWorkload::register_more() {
  std::vector<BlobSpec> specs;
  StoreState next = explorer_->newest();
  for (std::uint64_t i = 1 + random_.below(3); i > 0; --i) {
    const std::string name(1, static_cast<char>('a' + random_.below(6)));
    if (std::ranges::find(specs, name, &BlobSpec::name) == specs.end()) {
      specs.push_back(spec_of(name, 1 + random_.below(options_.blob_size_bytes_cap)));
      next.register_blob(specs.back());
    }
  }
  submit(next);
  const std::size_t submitted = explorer_->unacknowledged();
  const Status status = client_->register_blobs(specs);
  if (!status && status.error().kind() == ErrorKind::no_space) {
    const std::lock_guard turn(served_->turn());
    explorer_->withdraw();
    return report_.failure.empty();
  }
  return succeeded("register", status) && acknowledge(submitted);
}

/// Only a blob that nobody writes: the session that may have written it ends before.
bool ServedWorkload::remove_one() {
  if (explorer_->newest().blobs().size() < 2) {
    return register_more();
  }
  const std::string blob = some_blob();
  client_.reset();
  StoreState next = explorer_->newest();
  next.remove_blob(blob);
  submit(next);
  const std::size_t submitted = explorer_->unacknowledged();
  const Result<std::unique_ptr<OwnerClient>> operators = served_->operators();
  return succeeded("remove", operators ? (*operators)->remove(blob) : operators.error()) &&
         connect() && acknowledge(submitted);
}

/// What was deferred by one that has ended is still to be written.
bool ServedWorkload::new_session() {
  client_.reset();
  return connect();
}

bool ServedWorkload::close() {
  client_.reset();
  const std::size_t submitted = explorer_->unacknowledged();
  return succeeded("close", served_->close()) && acknowledge(submitted, 0);
}

bool ServedWorkload::reopen() {
  return close() && open();
}

bool ServedWorkload::compare() {
  const Result<StoreState> found = StoreState::capture(*client_);
  if (!found) {
    return succeeded("read", found.error());
  }
  if (!(*found == explorer_->newest())) {
    return fail("a session sees another state than the model's: " +
                explorer_->newest().difference(*found));
  }
  return report_.failure.empty();
}

} // namespace vnvram::test
