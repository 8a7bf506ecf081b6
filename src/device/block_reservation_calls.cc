#include "device/block_reservation_calls.h"

#include <linux/pr.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <system_error>

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
constexpr unsigned illegal_request = 0x05;
constexpr unsigned unit_attention = 0x06;
constexpr unsigned char reservation_conflict = 0x18;
constexpr int nvme_reservation_conflict = 0x83;

// What happened to the device (a reset, a key that was taken away) is told to whoever asks it
// something next, in the answer's place, once for each.
constexpr int attempts_max = 8;

// Nothing is known without sysfs. What hangs on one host's cable is asked nothing: SATA has no
// reservations, and USB's bridges may not bear the question.
ReservationCalls::Kind kind_of(int fd) {
  using Kind = ReservationCalls::Kind;
  struct stat status = {};
  if (::fstat(fd, &status) != 0 || !S_ISBLK(status.st_mode)) {
    return Kind::other;
  }
  const std::string of_kernel =
      fmt::format("/sys/dev/block/{}:{}", major(status.st_rdev), minor(status.st_rdev));
  std::error_code failed;
  const std::string place = std::filesystem::read_symlink(of_kernel, failed).string();
  if (failed) {
    return Kind::other;
  }
  if (place.find("/ata") != std::string::npos || place.find("/usb") != std::string::npos) {
    return Kind::on_cable;
  }
  const auto has = [&](const char* name) {
    return ::access((of_kernel + name).c_str(), F_OK) == 0 || errno != ENOENT;
  };
  if (has("/partition")) {
    return Kind::part;
  }
  if (!has("/dm")) {
    return Kind::whole;
  }
  std::string uuid;
  std::ifstream(of_kernel + "/dm/uuid") >> uuid;
  return uuid.starts_with("mpath-") ? Kind::multipath : Kind::mapped;
}

bool may_have_been_told_something_else(int answer) {
  return answer > 0 && (answer & 0xff) == check_condition;
}

// SPC-4, 4.5: in the fixed format the sense key is in byte 2, in that of descriptors in byte 1. One
// that is not there is 0, "no sense".
unsigned sense_key(std::span<const unsigned char> sense) {
  const bool has_descriptors = !sense.empty() && (sense[0] & 0x7fU) >= 0x72;
  const std::size_t place = has_descriptors ? 1 : 2;
  return place < sense.size() ? sense[place] & 0x0fU : 0;
}

} // namespace

// The kernel passes SCSI's status on in the low byte, with what else it knows above it, and since
// 6.3 as PR_STS_RESERVATION_CONFLICT, which is the same number; NVMe's status was its own until
// then.
bool is_reservation_conflict(int answer) {
  return answer > 0 &&
         ((answer & 0xff) == reservation_conflict || (answer & 0x7ff) == nvme_reservation_conflict);
}

bool has_no_reservations(int answer) {
  return answer == -EOPNOTSUPP || answer == -ENOTTY || answer == -EINVAL;
}

bool lacks_right_to_reserve(int answer) {
  return answer == -EPERM || answer == -EACCES;
}

int answer_of_scsi(unsigned status, unsigned host_status, std::span<const unsigned char> sense) {
  if (status == check_condition && host_status == 0) {
    switch (sense_key(sense)) {
    case illegal_request: return -EOPNOTSUPP;
    case unit_attention: return -EAGAIN;
    default: break;
    }
  }
  return status == 0 && host_status == 0 ? 0 : -EIO;
}

BlockReservationCalls::BlockReservationCalls(int fd) : fd_(fd), kind_(kind_of(fd)) {}

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
  if (kind_ != Kind::whole) {
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

int BlockReservationCalls::has_key(std::uint64_t key) {
  struct pr_registration registration = {};
  registration.old_key = key;
  registration.new_key = key;
  return call(IOC_PR_REGISTER, registration);
}

// Rights and what the driver has are looked at before what is to be registered is read.
int BlockReservationCalls::may_register() {
  if (kind_ != Kind::whole) {
    return -EOPNOTSUPP;
  }
  if (::ioctl(fd_, IOC_PR_REGISTER, nullptr) < 0 && errno != EFAULT) {
    return -errno;
  }
  return 0;
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

// Where the kernel has no such ioctl, or asks for a right that this process has not, SCSI's own
// command may still answer.
int BlockReservationCalls::held(std::optional<Held>& found) {
  if (kind_ != Kind::whole) {
    return -EOPNOTSUPP;
  }
  ReadReservation read = {};
  const int answer = call(read_reservation_request, read);
  if (answer == 0) {
    found = read.type == 0 ? std::optional<Held>() : Held{read.key, read.type};
    return 0;
  }
  const bool is_known = !has_no_reservations(answer) && !lacks_right_to_reserve(answer);
  if (is_known && answer < 0) {
    return answer;
  }
  const int by_scsi = read_by_scsi(found);
  return is_known && has_no_reservations(by_scsi) ? -EIO : by_scsi;
}

int BlockReservationCalls::read_by_scsi(std::optional<Held>& found) const {
  std::array<std::byte, answer_size_bytes> data{};
  std::array<unsigned char, 10> command{persistent_reserve_in, read_reservation_action};
  command[8] = data.size();
  struct sg_io_hdr request = {};
  int answer = -EAGAIN;
  for (int attempt = 0; answer == -EAGAIN && attempt < attempts_max; ++attempt) {
    std::array<unsigned char, 32> sense{};
    request = {};
    request.interface_id = 'S';
    request.dxfer_direction = SG_DXFER_FROM_DEV;
    request.cmd_len = command.size();
    request.cmdp = command.data();
    request.dxfer_len = data.size();
    request.dxferp = data.data();
    request.mx_sb_len = sense.size();
    request.sbp = sense.data();
    request.timeout = timeout_milliseconds;
    if (::ioctl(fd_, SG_IO, &request) < 0) {
      return -errno;
    }
    answer = answer_of_scsi(
        request.status, request.host_status,
        std::span(sense).first(std::min<std::size_t>(request.sb_len_wr, sense.size())));
  }
  if (answer != 0) {
    return answer == -EAGAIN ? -EIO : answer;
  }
  if (request.resid < 0 || static_cast<std::size_t>(request.resid) > data.size() - key_at) {
    return -EIO;
  }
  // Of a reservation all is told, or it is none.
  if (load_big_endian<std::uint32_t>(data, length_at) < data.size() - key_at) {
    found.reset();
    return 0;
  }
  if (request.resid != 0) {
    return -EIO;
  }
  found = Held{load_big_endian<std::uint64_t>(data, key_at),
               std::to_integer<std::uint32_t>(data[type_at]) & 0x0fU};
  return 0;
}

} // namespace vnvram
