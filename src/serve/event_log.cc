#include "serve/event_log.h"

#include <algorithm>

namespace vnvram {

void EventLog::add(const OwnerEvent& event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    ++last_;
    if (events_.size() > events_max) {
      events_.pop_front();
    }
  }
  news_.tell();
}

EventLog::Events EventLog::since(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const std::uint64_t behind = number < last_ ? last_ - number : 0;
  const auto count = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(behind, events_.size()));
  return {.events = {events_.end() - count, events_.end()}, .last = last_};
}

std::uint64_t EventLog::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

} // namespace vnvram
