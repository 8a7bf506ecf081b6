// Holds that end by themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "base/alarm_clock.h"
#include "base/clock.h"
#include "owner/image_keeper.h"
#include "vnvram/result.h"

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
  /// Returns its number.
  Result<std::uint64_t> hold(Clock::Duration duration);
  /// The same if nothing is held. Errors: in_use, too.
  Result<std::uint64_t> hold_alone(Clock::Duration duration);
  /// Returns whether something was held until now. With a number: only what is held by it, so that
  /// nobody ends what another has held since.
  bool release(std::optional<std::uint64_t> number = std::nullopt);

  /// Does it if changes are held by that number, and will be until it is done. Errors: its own;
  /// stale (that hold has ended).
  Status while_held(std::uint64_t number, const std::function<Status()>& work);

  /// Releases, for good: errors of hold() are absent from then on.
  void end();

  /// Looks whether the image's content was changed underneath, and then opens it anew, which ends a
  /// hold: returns whether it was. Errors: absent; those of ImageKeeper::is_current() and reopen():
  /// after the latter there is no image any more.
  Result<bool> look_again();

  /// Another call of the keeper's for which one thread at a time is allowed.
  template <typename Call> auto in_turn(Call call) {
    const std::lock_guard lock(mutex_);
    return call();
  }

private:
  void time_has_come();
  Result<std::uint64_t> hold_locked(Clock::Duration duration);
  void release_locked();

  ImageKeeper& keeper_;
  Clock& clock_;
  std::mutex mutex_;
  std::optional<Clock::Time> ends_at_; ///< While it holds.
  std::uint64_t number_ = 0;           ///< Of the last hold.
  bool ended_ = false;
  AlarmClock alarm_;
};

} // namespace vnvram
