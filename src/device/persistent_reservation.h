// The right to write to a whole device that several hosts see, as the storage itself keeps it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "device/reservation_calls.h"
#include "device/reservation_look.h"
#include "vnvram/result.h"

namespace vnvram {

/// A persistent reservation for writing (PR_WRITE_EXCLUSIVE): whoever may read goes on to read, and
/// the storage refuses the writes of every other host, whatever stalls. It is this host's, not this
/// process's: a lock decides between two openers here, and the next one goes on with what one that
/// was killed has left behind.
///
/// Keys begin with the same three bytes ("vNV"), the rest is new each time: what somebody else has
/// reserved in ways of his own is told apart, and not touched.
///
/// Threads: one call at a time, but for is_lost(), which may come from any.
class PersistentReservation {
public:
  /// `name` is for messages.
  PersistentReservation(std::unique_ptr<ReservationCalls> calls, std::string name);
  PersistentReservation(const PersistentReservation&) = delete;
  PersistentReservation& operator=(const PersistentReservation&) = delete;
  ~PersistentReservation() = default; // Gives nothing back.

  /// Returns when only this host can write. Errors: in_use (another host has reserved it, or
  /// something that is not vNVRAM); unsupported (the device has none, or this process no right to,
  /// be it to see who has it); io: what this host held before it still holds.
  Status take();
  /// For who was not asked to take it: the same if it is taken, by whichever host; if nobody has
  /// it, or something that is not vNVRAM, or this device or process cannot tell, nothing is done.
  /// What is joined is not to be given back. Errors: in_use (another host has it), io.
  Status join();
  /// Takes it from whoever has it, and has the storage abort what that one has on its way. Success
  /// also if it is this host's already, since nobody else can write then. Errors: unsupported
  /// (nothing is reserved; this device does not tell, or this process has no right to); in_use (by
  /// something that is not vNVRAM); io. After an error nothing is this host's that was not before,
  /// unless the device did what it said to have failed; nor has anything gone that was.
  Status shut_out_holder();
  /// Whether another host has taken it from this one since.
  [[nodiscard]] bool is_lost();
  /// Every host may write again. Harmless when nothing was taken, or it is another host's by now.
  /// Errors: unsupported (this process has no right to any more), io: nobody knows whether it is.
  Status give_back();
  /// Whether this host had it already when it was taken, as far as that could be seen: what was
  /// shut out by that stays so if it is left.
  [[nodiscard]] bool was_here() const { return was_here_; }
  /// To this host's next opening.
  void leave();
  /// Whether this host has it, as far as this opening knows.
  [[nodiscard]] bool is_held() const { return key_ != 0; }
  /// Takes nothing, and leaves everything as it is.
  ReservationLook look();

private:
  /// To see who has it takes a right that not every user of a device has.
  enum class Sight { needed, if_possible };
  /// Who has it, where that can be told; the first time only.
  Result<std::optional<ReservationCalls::Held>> look_once(Sight sight);
  Status reserve();
  Status register_key();
  /// Both return `error`.
  Status drop_key(Error error);
  Status leave_key(Error error);
  [[nodiscard]] Error not_ours(const ReservationCalls::Held& held) const;
  [[nodiscard]] Error refused(const char* what, int answer) const;
  [[nodiscard]] Error unseen(int answer) const;

  const std::unique_ptr<ReservationCalls> calls_;
  const std::string name_;
  std::uint64_t key_ = 0; ///< Of this opening; 0: it has registered none.
  bool looked_ = false;
  bool was_here_ = false;
  bool is_nobodys_ = false; ///< As the look has shown; until something is done.
};

} // namespace vnvram
