// Who wants to hear of something.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace vnvram {

/// Threads: any. A watcher runs on the thread that tells, and must not begin or end a watch.
template <typename... What> class Watch {
public:
  using Watcher = std::function<void(What...)>;

  /// A number to end it by.
  [[nodiscard]] std::uint64_t begin(Watcher watcher) {
    const std::lock_guard lock(mutex_);
    watchers_.emplace(++last_number_, std::move(watcher));
    return last_number_;
  }
  /// The watcher does not run any more when it returns.
  void end(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    watchers_.erase(number);
  }
  void tell(What... what) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, watcher] : watchers_) {
      watcher(what...);
    }
  }

private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Watcher> watchers_;
  std::uint64_t last_number_ = 0;
};

} // namespace vnvram
