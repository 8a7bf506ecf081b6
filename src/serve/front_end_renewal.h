// Front ends exchanged for what is installed now, by whoever has started them.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "owner/watch.h"
#include "vnvram/result.h"

namespace vnvram {

/// One at a time, between the session that asks for it and whoever carries it out. Threads: any.
class FrontEndRenewal {
public:
  /// Asks that one, and does not wait. Empty: there is nobody.
  explicit FrontEndRenewal(std::function<Status()> ask) : ask_(std::move(ask)) {}

  /// Errors: unsupported (there is nobody), in_use (one is under way), those of asking.
  Status begin() {
    if (!ask_) {
      return Error(ErrorKind::unsupported, "nothing would start this image's front ends again",
                   "end them, and start them");
    }
    {
      const std::lock_guard lock(mutex_);
      if (is_under_way_) {
        return Error(ErrorKind::in_use, "the front ends are being exchanged already");
      }
      is_under_way_ = true;
      outcome_.reset();
    }
    Status asked = ask_();
    if (!asked) {
      end(asked);
    }
    return asked;
  }
  /// It is over, with this outcome.
  void end(const Status& outcome) {
    {
      const std::lock_guard lock(mutex_);
      is_under_way_ = false;
      outcome_ = outcome;
    }
    ended_.tell();
  }
  /// Of the last one; nothing while one is under way.
  [[nodiscard]] std::optional<Status> outcome() const {
    const std::lock_guard lock(mutex_);
    return outcome_;
  }
  [[nodiscard]] Watch<>& ended() { return ended_; }

private:
  const std::function<Status()> ask_;
  Watch<> ended_;
  mutable std::mutex mutex_;
  bool is_under_way_ = false;
  std::optional<Status> outcome_;
};

} // namespace vnvram
