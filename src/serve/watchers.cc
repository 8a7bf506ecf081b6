#include "serve/watchers.h"

#include <algorithm>
#include <utility>

#include "rpc/wire.h"

namespace vnvram {

bool Watchers::is_news_for(const Heard& heard) const {
  const std::uint64_t generation = image_.generation();
  return events_.last() > heard.event ||
         (heard.generation != no_generation && generation != no_generation &&
          generation != heard.generation);
}

std::optional<kj::Promise<void>> Watchers::wait_for_news(const Heard& heard) {
  if (heard.generation != no_generation) {
    want_generations_ = true; // Before the look, so that no change is missed.
  }
  if (is_news_for(heard)) {
    return kj::Promise<void>(kj::READY_NOW);
  }
  std::erase_if(waiting_, [](Watcher& watcher) { return !watcher.news->isWaiting(); });
  if (waiting_.size() >= count_max) {
    return std::nullopt;
  }
  auto waits = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back({heard, kj::mv(waits.fulfiller)});
  return kj::mv(waits.promise);
}

void Watchers::look() {
  for (Watcher& watcher : waiting_) {
    if (is_news_for(watcher.heard)) {
      watcher.news->fulfill();
    }
  }
  std::erase_if(waiting_, [](Watcher& watcher) { return !watcher.news->isWaiting(); });
  want_generations_ = std::any_of(waiting_.begin(), waiting_.end(), [](const Watcher& watcher) {
    return watcher.heard.generation != no_generation;
  });
}

} // namespace vnvram
