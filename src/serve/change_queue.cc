#include "serve/change_queue.h"

#include <optional>
#include <utility>

namespace vnvram {

bool ChangeQueue::carry_out(Change& change) {
  std::optional<Result<StoreUse>> store = keeper_.try_to_change();
  is_held_up_ = !store.has_value();
  return store && change(*store);
}

kj::Promise<void> ChangeQueue::run(Change change) {
  if (waiting_.empty() && carry_out(change)) {
    return kj::READY_NOW;
  }
  auto waits = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back({kj::mv(change), kj::mv(waits.fulfiller)});
  return kj::mv(waits.promise);
}

void ChangeQueue::add(Change change) {
  if (!waiting_.empty() || !carry_out(change)) {
    waiting_.push_back({kj::mv(change), {}});
  }
}

bool ChangeQueue::is_over(Waiting& waiting) {
  if (waiting.done.get() == nullptr) {
    return carry_out(waiting.change);
  }
  bool carried_out = !waiting.done->isWaiting();
  waiting.done->rejectIfThrows([&] { carried_out = carried_out || carry_out(waiting.change); });
  if (!carried_out && waiting.done->isWaiting()) {
    return false;
  }
  waiting.done->fulfill(); // Nothing to one that was rejected.
  return true;
}

void ChangeQueue::finish() {
  for (bool goes_on = true; goes_on && !waiting_.empty();) {
    goes_on = waiting_.front().done.get() != nullptr || carry_out(waiting_.front().change);
    if (goes_on) {
      waiting_.pop_front();
    }
  }
}

void ChangeQueue::go_on(const std::atomic<bool>& stops) {
  while (!stops && !waiting_.empty() && is_over(waiting_.front())) {
    waiting_.pop_front();
  }
}

} // namespace vnvram
