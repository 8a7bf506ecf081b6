// How any thread wakes one that runs a KJ event loop.
#pragma once

#include <mutex>
#include <utility>

#include <kj/async.h>

namespace vnvram {

/// Rung as often as one likes; heard once. It lasts until nobody rings any more.
class Bell {
public:
  /// Threads: any.
  void ring() {
    const std::lock_guard lock(mutex_);
    if (listener_.get() != nullptr) {
      listener_->fulfill();
      listener_ = nullptr;
    } else {
      rung_ = true;
    }
  }
  /// Ready when it is rung, or if it was since it was last heard. Threads: the loop's; one promise
  /// at a time.
  kj::Promise<void> heard() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(rung_, false)) {
      return kj::READY_NOW;
    }
    auto waits = kj::newPromiseAndCrossThreadFulfiller<void>();
    listener_ = kj::mv(waits.fulfiller);
    return kj::mv(waits.promise);
  }

private:
  std::mutex mutex_;
  kj::Own<kj::CrossThreadPromiseFulfiller<void>> listener_;
  bool rung_ = false;
};

} // namespace vnvram
