// The deferred writes of a workload. Each is a state of its own that a cut may leave, behind all
// that was submitted before it, and readers see it as soon as its call has returned.
#include "crash/workload.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace vnvram::test {

bool Workload::defer(const Transaction& transaction) {
  const Transaction::Update& update = transaction.updates().front();
  StoreState next = explorer_->newest();
  next.apply(transaction);
  explorer_->submit(next);
  const std::uint64_t generation = store_->info().generation;
  const Status status =
      update.action == Transaction::Action::zero_range
          ? store_->zero_range_deferred(update.blob, update.offset_bytes, update.zero_length_bytes)
          : store_->write_range_deferred(update.blob, update.offset_bytes, update.bytes);
  if (!succeeded("deferred write", status)) {
    return false;
  }
  // It had to wait for a commit, which holds at least what waited before it.
  return store_->info().generation == generation || acknowledge(explorer_->unacknowledged() - 1);
}

bool Workload::defer_some() {
  if (explorer_->newest().blobs().empty()) {
    return register_more();
  }
  bool done = true;
  for (std::uint64_t i = 1 + random_.below(16); i > 0 && done; --i) {
    done = defer(some_deferred_write(some_blob(), DeferredSize::any)) && compare();
  }
  return done;
}

bool Workload::flush() {
  const std::size_t submitted = explorer_->unacknowledged();
  return succeeded("flush", store_->flush()) && acknowledge(submitted);
}

/// Deferred writes that come while the device is busy with a record, which must not hold them, or
/// with a checkpoint.
bool Workload::defer_inside() {
  if (!defer_some() || explorer_->newest().blobs().size() < 2) {
    return report_.failure.empty();
  }
  enum class Outer : std::uint8_t { flush, commit, removal, checkpoint };
  constexpr std::array outers = {Outer::flush,  Outer::flush,   Outer::flush,
                                 Outer::commit, Outer::removal, Outer::checkpoint};
  const Outer outer = outers.at(random_.below(outers.size()));
  if (outer == Outer::checkpoint && !commit_some()) { // None waits, so that there is room for more.
    return false;
  }
  const std::string removed = outer == Outer::removal ? some_blob() : "";
  // While a commit is under way, the newest state is not there to be read.
  const bool readable = outer == Outer::flush || outer == Outer::checkpoint;
  const std::uint64_t at = random_.below(2) * random_.below(4); // A flush is one or two of them.
  std::uint64_t seen = 0;
  bool done = true;
  explorer_->set_operation_hook([&](const SimulatedOperation& operation) {
    if (operation.kind == OperationKind::read || !done) {
      return;
    }
    done = !readable || compare();
    if (seen++ == at) {
      done = done && defer_two_small(readable) && (removed.empty() || defer_in_vain(removed));
    }
  });
  bool outer_done = false;
  switch (outer) {
  case Outer::flush: outer_done = flush(); break;
  case Outer::commit: outer_done = commit(some_updates(2)); break;
  case Outer::removal: outer_done = remove(removed); break;
  case Outer::checkpoint: outer_done = succeeded("checkpoint", store_->checkpoint()); break;
  }
  explorer_->set_operation_hook({});
  explorer_->examine_now();
  return done && outer_done;
}

bool Workload::defer_two_small(bool readable) {
  bool done = true;
  for (int i = 0; i < 2 && done; ++i) {
    done = defer(some_deferred_write(some_blob(), DeferredSize::small)) && (!readable || compare());
  }
  return done;
}

/// To a blob that is being removed, or is gone already.
bool Workload::defer_in_vain(const std::string& blob) {
  const Status status = store_->write_range_deferred(blob, 0, random_.bytes(1));
  return status || status.error().kind() == ErrorKind::not_found ||
         succeeded("deferred write to a blob that is being removed", status);
}

} // namespace vnvram::test
