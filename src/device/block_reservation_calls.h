// Persistent reservations of a host's block device, by its ioctls.
#pragma once

#include <optional>
#include <span>

#include "device/reservation_calls.h"

namespace vnvram {

/// A reservation is of a LUN or a namespace as a whole: not of a partition, whose neighbours it
/// would shut out as well (kernels before 6.6 would do it), and not of what device-mapper has made,
/// which passes the calls on to all that is below it; and not of a disk on SATA or USB.
class BlockReservationCalls final : public ReservationCalls {
public:
  /// `fd`: of a block device, open for writing; it outlives this. What the device is is asked here:
  /// later the process may have no right to look.
  explicit BlockReservationCalls(int fd);

  [[nodiscard]] Kind kind() const override { return kind_; }
  int set_key(std::uint64_t key) override;
  int drop_key(std::uint64_t key) override;
  int reserve(std::uint64_t key) override;
  int preempt(std::uint64_t key, std::uint64_t other) override;
  /// By registering the key in its own place, which a host that has another one, or none, may not.
  int has_key(std::uint64_t key) override;
  int may_register() override;
  /// By IOC_PR_READ_RESERVATION where the kernel has it (7.0), else by SCSI's own command: of an
  /// NVMe namespace older kernels cannot tell.
  int held(std::optional<Held>& found) override;

private:
  template <typename Argument> int call(unsigned long request, Argument& argument) const;
  int read_by_scsi(std::optional<Held>& found) const;

  const int fd_;
  const Kind kind_;
};

/// What a SCSI command that was passed on has come to, as ReservationCalls answers; -EAGAIN: the
/// device has said something else in its place, and it is to be asked again. `sense` is as much as
/// was written. Only "illegal request" says that a device does not know the command.
[[nodiscard]] int answer_of_scsi(unsigned status, unsigned host_status,
                                 std::span<const unsigned char> sense);

} // namespace vnvram
