// What a block device's storage is asked about persistent reservations.
#pragma once

#include <cstdint>
#include <optional>

namespace vnvram {

/// Which host may write, as the storage keeps it: "Persistent Reservations" of SPC-4 (5.13) and
/// "Reservations" of the NVMe base specification, in the form that linux/pr.h gives both. A host
/// registers a key, and may reserve then; a registration and a reservation belong to the way from
/// this host to the device (SCSI: the I_T nexus; NVMe: the host identifier), whichever process
/// asks.
///
/// The calls answer as the kernel's ioctls do: 0; a negative errno; or what the device has said, a
/// positive number (see is_reservation_conflict()).
class ReservationCalls {
public:
  /// What is in force on the device.
  struct Held {
    std::uint64_t key = 0;
    std::uint32_t type = 0; ///< pr_type.
  };

  /// What the device is. All but a whole one answer that they have no reservations.
  enum class Kind {
    whole,
    part,      ///< A partition.
    multipath, ///< dm-multipath's.
    mapped,    ///< Something else of device-mapper's.
    on_cable,  ///< Of this host's alone: SATA, USB.
    other,     ///< Nobody here knows.
  };

  ReservationCalls() = default;
  ReservationCalls(const ReservationCalls&) = delete;
  ReservationCalls& operator=(const ReservationCalls&) = delete;
  virtual ~ReservationCalls() = default;

  [[nodiscard]] virtual Kind kind() const = 0;
  /// This host has `key` from now on, whatever it had; a reservation that it holds stays.
  virtual int set_key(std::uint64_t key) = 0;
  /// This host has none any more, and a reservation that it held has gone, if `key` is its own.
  virtual int drop_key(std::uint64_t key) = 0;
  /// PR_WRITE_EXCLUSIVE: only this host writes, all may read. Success also if it is so already.
  virtual int reserve(std::uint64_t key) = 0;
  /// Whoever has `other` loses his key, and what he has on its way is aborted; if he held the
  /// reservation it is this host's.
  virtual int preempt(std::uint64_t key, std::uint64_t other) = 0;
  /// Whether this host has registered `key`: 0 if so, a conflict if not. Nothing changes.
  virtual int has_key(std::uint64_t key) = 0;
  /// 0: this process may register a key, and the kernel knows how to. The device is asked nothing.
  virtual int may_register() = 0;
  /// What is reserved, into `found`; nothing there: nobody has. What it does not answer by 0 leaves
  /// that as it was.
  virtual int held(std::optional<Held>& found) = 0;
};

/// Of what a call has answered: another host has reserved it, or this one has lost its key.
[[nodiscard]] bool is_reservation_conflict(int answer);

/// Of what a call has answered: this device, or this kernel for it, has no such thing.
[[nodiscard]] bool has_no_reservations(int answer);

/// Of what a call has answered: this process may not ask.
[[nodiscard]] bool lacks_right_to_reserve(int answer);

} // namespace vnvram
