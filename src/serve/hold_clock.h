// Holds that end by themselves.
#pragma once

#include <mutex>
#include <optional>

#include "base/alarm_clock.h"
#include "base/clock.h"
#include "owner/image_keeper.h"

namespace vnvram {

/// Holds all changes of an image for so long at most.
///
/// Threads: any. The calls take turns, since those of the keeper that wait for all others are one
/// thread's at a time, and wait for what is under way.
class HoldClock {
public:
  /// Both outlive it.
  HoldClock(ImageKeeper& keeper, Clock& clock)
      : keeper_(keeper), clock_(clock), alarm_(clock, [this] { time_has_come(); }) {}
  HoldClock(const HoldClock&) = delete;
  HoldClock& operator=(const HoldClock&) = delete;
  /// Releases.
  ~HoldClock();

  /// As ImageKeeper::hold(), until release() or until so much time has passed since it was held.
  /// What is held already gets a new time. Errors: absent (there is no image); those of the hold,
  /// and then nothing is held.
  Status hold(Clock::Duration duration);
  /// Returns whether something was held until now.
  bool release();

  /// Looks whether the image's content was changed underneath, and then opens it anew, which ends a
  /// hold: returns whether it was. Errors: absent; those of ImageKeeper::is_current() and reopen():
  /// after the latter there is no image any more.
  Result<bool> look_again();

private:
  void time_has_come();
  void release_locked();

  ImageKeeper& keeper_;
  Clock& clock_;
  std::mutex mutex_;
  std::optional<Clock::Time> ends_at_; ///< While it holds.
  AlarmClock alarm_;
};

} // namespace vnvram
