// A session's calls that wait for something to happen.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include <kj/async.h>

#include "serve/event_log.h"
#include "serve/image_news.h"

namespace vnvram {

/// Threads: the session's, but for what is said of others.
class Watchers {
public:
  /// Those of a session that wait at once.
  static constexpr std::size_t count_max = 8;

  /// What a caller has heard of already.
  struct Heard {
    std::uint64_t event = 0;
    std::uint64_t generation = 0; ///< no_generation: it wants to know of none.
  };

  /// Both outlive it.
  Watchers(EventLog& events, ImageNews& image) : events_(events), image_(image) {}
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  /// Ready when there is something that the caller has not heard of. None: too many wait.
  std::optional<kj::Promise<void>> wait_for_news(const Heard& heard);
  /// Something has happened: ends the waiting of those whom it concerns.
  void look();
  /// One of them waits for another generation. Threads: any.
  [[nodiscard]] bool want_generations() const { return want_generations_; }

private:
  struct Watcher {
    Heard heard;
    kj::Own<kj::PromiseFulfiller<void>> news;
  };

  [[nodiscard]] bool is_news_for(const Heard& heard) const;

  EventLog& events_;
  ImageNews& image_;
  std::vector<Watcher> waiting_;
  std::atomic<bool> want_generations_ = false;
};

} // namespace vnvram
