#include "device/persistent_reservation.h"

#include <linux/pr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/big_endian.h"
#include "base/random_bytes.h"

namespace vnvram {
namespace {

constexpr std::array own_prefix = {std::byte{'v'}, std::byte{'N'}, std::byte{'V'}};

// Who restarts while he is shut out has another key then.
constexpr int attempts_max = 5;

Result<std::uint64_t> new_key() {
  std::array<std::byte, sizeof(std::uint64_t)> bytes{};
  if (const Status filled = random_bytes(bytes); !filled) {
    return filled.error();
  }
  std::copy(own_prefix.begin(), own_prefix.end(), bytes.begin());
  return load_big_endian<std::uint64_t>(bytes, 0);
}

bool is_own_kind(const ReservationCalls::Held& held) {
  std::array<std::byte, sizeof(std::uint64_t)> bytes{};
  store_big_endian(std::span(bytes), 0, held.key);
  return held.type == PR_WRITE_EXCLUSIVE &&
         std::equal(own_prefix.begin(), own_prefix.end(), bytes.begin());
}

} // namespace

PersistentReservation::PersistentReservation(std::unique_ptr<ReservationCalls> calls,
                                             std::string name)
    : calls_(std::move(calls)), name_(std::move(name)) {}

Error PersistentReservation::refused(const char* what, int answer) const {
  const std::string cause = fmt::format("{}: cannot {}", name_, what);
  switch (answer) {
  case -EPERM:
  case -EACCES:
    return {ErrorKind::unsupported, cause + ": this process has no right to reserve it",
            "kernels before 6.6 ask for CAP_SYS_ADMIN: be root"};
  case -EOPNOTSUPP:
  case -ENOTTY:
  case -EINVAL:
    return {ErrorKind::unsupported, cause + ": it has no persistent reservations",
            "a whole SCSI or NVMe device may have some; what is made of one, or a part, has none"};
  default: break;
  }
  return answer < 0 ? Error(ErrorKind::io,
                            fmt::format("{}: {}", cause, std::generic_category().message(-answer)))
                    : Error(ErrorKind::unsupported,
                            fmt::format("{}: the device refuses it (status {:#x})", cause, answer));
}

Status PersistentReservation::register_key() {
  if (key_ != 0) {
    return {};
  }
  const Result<std::uint64_t> key = new_key();
  if (!key) {
    return key.error();
  }
  if (const int answer = calls_->set_key(*key); answer != 0) {
    return refused("register for its reservations", answer);
  }
  key_ = *key;
  return {};
}

// A key of this host's alone reserves nothing.
Status PersistentReservation::drop_key(Error error) {
  give_back();
  return error;
}

// Once: a process that is confined by now takes it again without a look, which its filter does not
// let through.
Result<std::optional<ReservationCalls::Held>> PersistentReservation::look_once() {
  if (std::exchange(looked_, true)) {
    return std::optional<ReservationCalls::Held>();
  }
  Result<std::optional<ReservationCalls::Held>> held = calls_->held();
  return held || held.error().kind() != ErrorKind::unsupported
             ? held
             : Result<std::optional<ReservationCalls::Held>>(
                   std::optional<ReservationCalls::Held>());
}

Error PersistentReservation::not_ours(const ReservationCalls::Held& held) const {
  return {ErrorKind::in_use,
          fmt::format("{}: something that is not vNVRAM has reserved it (key {:#x}, type {})",
                      name_, held.key, held.type),
          "end that; a reservation that is left behind goes by `sg_persist --clear`"};
}

// Somebody else's on this very host would be lost with the key that is exchanged.
Status PersistentReservation::take() {
  const Result<std::optional<ReservationCalls::Held>> held = look_once();
  if (!held) {
    return held.error();
  }
  return *held && !is_own_kind(**held) ? Status(not_ours(**held)) : reserve();
}

Status PersistentReservation::join() {
  if (key_ != 0) {
    return reserve();
  }
  const Result<std::optional<ReservationCalls::Held>> held = look_once();
  if (!held) {
    return held.error();
  }
  const Status joined = *held && is_own_kind(**held) ? reserve() : Status();
  return !joined && joined.error().kind() == ErrorKind::unsupported ? Status() : joined;
}

Status PersistentReservation::reserve() {
  if (const Status registered = register_key(); !registered) {
    return registered;
  }
  const int answer = calls_->reserve(key_);
  if (answer == 0) {
    return {};
  }
  return drop_key(is_reservation_conflict(answer)
                      ? Error(ErrorKind::in_use, name_ + ": another host has reserved it",
                              "end its owner there; if that host is dead, take it over")
                      : refused("reserve it", answer));
}

Status PersistentReservation::shut_out_holder() {
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    const Result<std::optional<ReservationCalls::Held>> held = calls_->held();
    if (!held) {
      return drop_key(held.error());
    }
    if (!*held) {
      return drop_key(Error(ErrorKind::unsupported, name_ + ": nobody has reserved it"));
    }
    if (key_ != 0 && (*held)->key == key_) {
      return {};
    }
    if (!is_own_kind(**held)) {
      return drop_key(not_ours(**held));
    }
    if (key_ == 0) { // If it is held by this host it is by this key then.
      if (const Status registered = register_key(); !registered) {
        return registered;
      }
      continue;
    }
    const int answer = calls_->preempt(key_, (*held)->key);
    if (answer != 0 && !is_reservation_conflict(answer)) {
      return drop_key(refused("take its reservation", answer));
    }
  }
  return drop_key(Error(ErrorKind::io, name_ + ": who has reserved it changes all the time",
                        "see which hosts start an owner on it"));
}

bool PersistentReservation::is_lost() {
  return key_ != 0 && is_reservation_conflict(calls_->reserve(key_));
}

void PersistentReservation::give_back() {
  if (key_ != 0) {
    // Not answered by a conflict alone: another host may have taken it, and the key with it.
    (void)calls_->drop_key(key_);
    key_ = 0;
  }
}

} // namespace vnvram
