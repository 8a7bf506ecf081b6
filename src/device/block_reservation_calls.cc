#include "device/block_reservation_calls.h"

#include <linux/pr.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/big_endian.h"

namespace vnvram {
namespace {

// linux/pr.h has it since 7.0.
struct ReadReservation {
  std::uint64_t key;
  std::uint32_t generation;
  std::uint32_t type;
};
constexpr unsigned long read_reservation_request = _IOR('p', 207, ReadReservation);

// SPC-4, 6.15: PERSISTENT RESERVE IN, READ RESERVATION. Its answer is a generation and a length,
// each of 4 bytes, and if there is a reservation its key (8), 5 bytes, and its type in the low half
// of the sixth.
constexpr unsigned char persistent_reserve_in = 0x5e;
constexpr unsigned char read_reservation_action = 0x01;
constexpr std::size_t answer_size_bytes = 24;
constexpr std::size_t length_at = 4;
constexpr std::size_t key_at = 8;
constexpr std::size_t type_at = 21;
constexpr unsigned timeout_milliseconds = 30000;

constexpr unsigned char check_condition = 0x02;
constexpr unsigned char reservation_conflict = 0x18;
constexpr int nvme_reservation_conflict = 0x83;

// What happened to the device (a reset, a key that was taken away) is told to whoever asks it
// something next, in the answer's place, once for each.
constexpr int attempts_max = 8;

// Nothing is known without sysfs. What hangs on one host's cable is asked nothing: SATA has no
// reservations, and USB's bridges may not bear the question.
bool is_whole(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0 || !S_ISBLK(status.st_mode)) {
    return false;
  }
  const std::string of_kernel =
      fmt::format("/sys/dev/block/{}:{}", major(status.st_rdev), minor(status.st_rdev));
  std::error_code failed;
  const std::string place = std::filesystem::read_symlink(of_kernel, failed).string();
  if (failed || place.find("/ata") != std::string::npos ||
      place.find("/usb") != std::string::npos) {
    return false;
  }
  const auto has = [&](const char* name) {
    return ::access((of_kernel + name).c_str(), F_OK) == 0 || errno != ENOENT;
  };
  return !has("/partition") && !has("/dm");
}

bool may_have_been_told_something_else(int answer) {
  return answer > 0 && (answer & 0xff) == check_condition;
}

// SPC-4, 4.5: in the fixed format the sense key is in byte 2, in that of descriptors in byte 1.
bool was_told_something_else(std::span<const unsigned char> sense) {
  constexpr unsigned char unit_attention = 0x06;
  const bool has_descriptors = (sense[0] & 0x7fU) >= 0x72;
  return (sense[has_descriptors ? 1 : 2] & 0x0fU) == unit_attention;
}

} // namespace

// The kernel passes SCSI's status on in the low byte, with what else it knows above it, and since
// 6.3 as PR_STS_RESERVATION_CONFLICT, which is the same number; NVMe's status was its own until
// then.
bool is_reservation_conflict(int answer) {
  return answer > 0 &&
         ((answer & 0xff) == reservation_conflict || (answer & 0x7ff) == nvme_reservation_conflict);
}

BlockReservationCalls::BlockReservationCalls(int fd, std::string name)
    : fd_(fd), name_(std::move(name)), is_whole_(is_whole(fd)) {}

template <typename Argument>
int BlockReservationCalls::call(unsigned long request, Argument& argument) const {
  int answer = 0;
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    answer = ::ioctl(fd_, request, &argument);
    if (answer < 0) {
      return -errno;
    }
    if (!may_have_been_told_something_else(answer)) {
      break;
    }
  }
  return answer;
}

int BlockReservationCalls::set_key(std::uint64_t key) {
  if (!is_whole_) {
    return -EOPNOTSUPP;
  }
  struct pr_registration registration = {};
  registration.new_key = key;
  registration.flags = PR_FL_IGNORE_KEY;
  return call(IOC_PR_REGISTER, registration);
}

int BlockReservationCalls::drop_key(std::uint64_t key) {
  struct pr_registration registration = {};
  registration.old_key = key;
  return call(IOC_PR_REGISTER, registration);
}

int BlockReservationCalls::reserve(std::uint64_t key) {
  struct pr_reservation reservation = {};
  reservation.key = key;
  reservation.type = PR_WRITE_EXCLUSIVE;
  return call(IOC_PR_RESERVE, reservation);
}

// Whatever the kernel's documentation says of the two keys: it puts old_key where the commands have
// the caller's own (SPC-4: RESERVATION KEY; NVMe: CRKEY), and new_key where they have the other's.
int BlockReservationCalls::preempt(std::uint64_t key, std::uint64_t other) {
  struct pr_preempt preemption = {};
  preemption.old_key = key;
  preemption.new_key = other;
  preemption.type = PR_WRITE_EXCLUSIVE;
  return call(IOC_PR_PREEMPT_ABORT, preemption);
}

Result<std::optional<ReservationCalls::Held>> BlockReservationCalls::held() {
  if (!is_whole_) {
    return Error(ErrorKind::unsupported, name_ + ": it is no device of its own");
  }
  ReadReservation found = {};
  if (::ioctl(fd_, read_reservation_request, &found) == 0) {
    return found.type == 0 ? std::optional<Held>() : Held{found.key, found.type};
  }
  return read_by_scsi();
}

Result<std::optional<ReservationCalls::Held>> BlockReservationCalls::read_by_scsi() {
  std::array<std::byte, answer_size_bytes> answer{};
  std::array<unsigned char, 10> command{persistent_reserve_in, read_reservation_action};
  command[8] = answer.size();
  std::array<unsigned char, 32> sense{};
  struct sg_io_hdr request = {};
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    request = {};
    request.interface_id = 'S';
    request.dxfer_direction = SG_DXFER_FROM_DEV;
    request.cmd_len = command.size();
    request.cmdp = command.data();
    request.dxfer_len = answer.size();
    request.dxferp = answer.data();
    request.mx_sb_len = sense.size();
    request.sbp = sense.data();
    request.timeout = timeout_milliseconds;
    if (::ioctl(fd_, SG_IO, &request) < 0) {
      return Error(ErrorKind::unsupported,
                   fmt::format("{}: cannot tell who has reserved it: {}", name_,
                               std::generic_category().message(errno)));
    }
    if (request.status != check_condition || !was_told_something_else(sense)) {
      break;
    }
  }
  if (request.status == check_condition) {
    return Error(ErrorKind::unsupported, name_ + ": it has no persistent reservations");
  }
  if (request.status != 0 || request.host_status != 0 || request.resid < 0 ||
      static_cast<std::size_t>(request.resid) > answer.size() - key_at) {
    return Error(ErrorKind::io,
                 fmt::format("{}: cannot tell who has reserved it: status {:#x}, {:#x}", name_,
                             request.status, request.host_status));
  }
  if (load_big_endian<std::uint32_t>(answer, length_at) < answer.size() - key_at) {
    return std::optional<Held>();
  }
  return std::optional<Held>({load_big_endian<std::uint64_t>(answer, key_at),
                              std::to_integer<std::uint32_t>(answer[type_at]) & 0x0fU});
}

} // namespace vnvram
