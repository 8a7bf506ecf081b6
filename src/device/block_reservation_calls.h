// Persistent reservations of a host's block device, by its ioctls.
#pragma once

#include <string>

#include "device/reservation_calls.h"

namespace vnvram {

/// A reservation is of a LUN or a namespace as a whole: not of a partition, whose neighbours it
/// would shut out as well (kernels before 6.6 would do it), and not of what device-mapper has made,
/// which passes the calls on to all that is below it; and not of a disk on SATA or USB.
class BlockReservationCalls final : public ReservationCalls {
public:
  /// `fd`: of a block device, open for writing; it outlives this. `name` is for messages. What the
  /// device is is asked here: later the process may have no right to look.
  BlockReservationCalls(int fd, std::string name);

  int set_key(std::uint64_t key) override;
  int drop_key(std::uint64_t key) override;
  int reserve(std::uint64_t key) override;
  int preempt(std::uint64_t key, std::uint64_t other) override;
  /// By IOC_PR_READ_RESERVATION where the kernel has it (7.0), else by SCSI's own command: of an
  /// NVMe namespace older kernels cannot tell.
  Result<std::optional<Held>> held() override;

private:
  template <typename Argument> int call(unsigned long request, Argument& argument) const;
  Result<std::optional<Held>> read_by_scsi();

  const int fd_;
  const std::string name_;
  const bool is_whole_;
};

} // namespace vnvram
