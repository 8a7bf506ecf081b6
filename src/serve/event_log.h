// What has happened at the owner without anybody asking for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "client/owner_event.h"
#include "owner/watch.h"

namespace vnvram {

/// Events, numbered from 1. The generations that the image reaches are none of them: see ImageNews.
/// Threads: any.
class EventLog {
public:
  static constexpr std::size_t events_max = 100;

  struct Events {
    std::vector<OwnerEvent> events;
    std::uint64_t last = 0; ///< The newest one's number; 0: there was none yet.
  };

  void add(const OwnerEvent& event);
  /// Those behind the event of that number, of the last `events_max`.
  [[nodiscard]] Events since(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t last() const;
  /// Told that there is one more, on the thread that adds it. A watcher may ask for events.
  [[nodiscard]] Watch<>& news() { return news_; }

private:
  mutable std::mutex mutex_;
  std::deque<OwnerEvent> events_; ///< The last of them.
  std::uint64_t last_ = 0;
  Watch<> news_;
};

} // namespace vnvram
