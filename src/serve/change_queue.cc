#include "serve/change_queue.h"

#include <optional>
#include <utility>

namespace vnvram {

bool ChangeQueue::carry_out(Change& change) {
  std::optional<Result<StoreUse>> store = keeper_.try_to_change();
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

void ChangeQueue::go_on() {
  while (!waiting_.empty()) {
    Waiting& first = waiting_.front();
    bool carried_out = !first.done->isWaiting();
    first.done->rejectIfThrows([&] { carried_out = carried_out || carry_out(first.change); });
    if (!carried_out && first.done->isWaiting()) {
      return;
    }
    first.done->fulfill(); // Nothing to one that was rejected.
    waiting_.pop_front();
  }
}

} // namespace vnvram
