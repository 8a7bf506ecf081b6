// Which generation the owner's image is at, for those who wait for another one.
#pragma once

#include <atomic>
#include <cstdint>

#include "owner/image_keeper.h"
#include "owner/watch.h"
#include "serve/event_log.h"

namespace vnvram {

/// Follows the image that a keeper has. Only the newest generation is kept, so that who waits for
/// it and is slow costs nothing; that the image was sealed, or unsealed, is an event.
///
/// Threads: any.
class ImageNews {
public:
  /// Both outlive it.
  ImageNews(ImageKeeper& keeper, EventLog& events)
      : keeper_(keeper), events_(events),
        watch_(keeper.changes().begin(
            [this](std::uint64_t generation, bool sealed) { changed(generation, sealed); })) {
    if (const Result<StoreUse> store = keeper.use(StoreGate::Purpose::read); store) {
      const StoreInfo info = (*store)->info();
      std::uint64_t expected = no_generation;
      if (generation_.compare_exchange_strong(expected, info.generation)) {
        sealed_ = info.sealed;
      }
    }
  }
  ImageNews(const ImageNews&) = delete;
  ImageNews& operator=(const ImageNews&) = delete;
  ~ImageNews() { keeper_.changes().end(watch_); }

  /// no_generation: there was no image yet.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  /// Told that it has changed, on the thread that has done it: a commit waits for that.
  [[nodiscard]] Watch<>& moved_on() { return moved_on_; }

private:
  void changed(std::uint64_t generation, bool sealed) {
    if (sealed_.exchange(sealed) != sealed) {
      events_.add(SealChanged{sealed});
    }
    if (generation_.exchange(generation) != generation) {
      moved_on_.tell();
    }
  }

  ImageKeeper& keeper_;
  EventLog& events_;
  std::atomic<std::uint64_t> generation_ = no_generation;
  std::atomic<bool> sealed_ = false;
  Watch<> moved_on_;
  const std::uint64_t watch_; ///< The last: it uses the others.
};

} // namespace vnvram
