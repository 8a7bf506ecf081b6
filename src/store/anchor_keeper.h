// Keeps an open image's anchor.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "base/alarm_clock.h"
#include "format/layout.h"
#include "store/shared_state.h"
#include "vnvram/anchor.h"

namespace vnvram {

/// Of a store without an anchor, or one that is only read, every call is nothing.
///
/// Threads: begin(), announce_epoch() and epoch_began() by the one that opens the store;
/// committed() and installed() by the one that leads a commit; the others from any. Not with the
/// state's mutex.
class AnchorKeeper {
public:
  explicit AnchorKeeper(SharedState& state);

  /// Invariant 12: judges the image as it is on the device, before anything is written to it, and
  /// takes the anchor's lock. Errors: not_at_anchor, and the anchor's own.
  Status begin();
  /// Durable before the image begins an epoch: whatever comes of that, the anchor knows it.
  Status announce_epoch(std::uint64_t random);
  /// The image has begun it.
  Status epoch_began();

  /// A record is durable and nobody was answered. An error has poisoned the store.
  Status committed(std::uint64_t generation, std::uint64_t chain);
  /// It is installed.
  void installed();
  /// What is about to happen to the image, or has happened. What is not named stays as it was said
  /// last.
  struct Announcement {
    /// True: it is about to be marked as not sealed; false: it is marked as sealed. The anchor
    /// never says that it is sealed when it is not.
    std::optional<bool> unsealing = {};
    /// Of another data key that it is about to be sealed with: whichever it is after a cut, the
    /// anchor knows it. Zero: it is the only one from now on, or will not come.
    std::optional<format::KeyId> next_key = {};
  };
  /// Durable on return. Errors: the anchor's own.
  Status announce(const Announcement& what);

  /// What the image is, as memory has it.
  [[nodiscard]] AnchorPoint image_point() const;

  /// Nothing is written by itself any more.
  void stop() { alarm_.stop(); }
  /// The last word, of an image that was closed in good order or not, and the lock's end.
  Status end(bool in_good_order);

private:
  [[nodiscard]] bool anchors() const { return use_.anchor != nullptr && state_.writes(); }
  Status judge_image(const Result<std::optional<AnchorPoint>>& anchored);
  /// What the image is now, unless it has gone on elsewhere.
  Status write();
  /// Whoever has a copy of the image has begun an epoch behind this one's, as after a migration
  /// whose source seals what it leaves: what that one has anchored is not taken back. Needs the
  /// mutex.
  [[nodiscard]] bool has_gone_on_elsewhere() const;
  Status put(const AnchorPoint& point);         // Needs the mutex.
  [[nodiscard]] AnchorPoint next_point() const; // Needs the mutex.
  [[nodiscard]] bool is_periodic() const {
    return anchors() && use_.policy.moment == AnchorPolicy::Moment::every;
  }
  /// Else commits look whether it is time: where nothing happens but inside a call, and in a
  /// process that may start no thread when such a device is attached to it.
  [[nodiscard]] bool has_alarm() const;
  void set_alarm(); // Takes the state's mutex.
  void alarm_rang();
  /// False: it is to be tried again.
  bool write_overdue();

  SharedState& state_;
  const AnchorUse& use_;
  std::mutex mutex_; ///< One write at a time; it is held during the anchor's I/O.
  std::optional<AnchorPoint> written_;
  /// The newest record that committed() was told of: whoever writes beside a commit does not take
  /// it back.
  std::uint64_t told_generation_ = 0;
  std::uint64_t told_chain_ = 0;
  bool unsealing_ = false;
  format::KeyId next_key_{}; ///< Zero: none is announced.
  bool is_locked_ = false;
  Clock::Time last_write_{};
  bool alarm_is_set_ = false; ///< Under the state's mutex.
  unsigned failures_ = 0;     ///< In a row, of what nobody waits for.
  AlarmClock alarm_;          ///< The last member: its thread uses all others.
};

} // namespace vnvram
