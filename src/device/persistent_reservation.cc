#include "device/persistent_reservation.h"

#include <linux/pr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
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

using Kind = ReservationCalls::Kind;

// Why one has none, if that is known.
std::string_view being_what(Kind kind) {
  switch (kind) {
  case Kind::part: return ", being a part of a device";
  case Kind::multipath: return ", being a multipath device: a reservation is one path's alone";
  case Kind::mapped: return ", being made of other devices";
  case Kind::on_cable: return ", being on a SATA or USB cable";
  case Kind::whole:
  case Kind::other: break;
  }
  return "";
}

const char* remedy_without(Kind kind) {
  return kind == Kind::multipath
             ? "leave the reservation out; where another host is dead, cut its power, and "
               "--owner-is-dead is your word. A LUN that has one path can be reserved, and NVMe's "
               "own multipath"
             : "a whole SCSI or NVMe device may have some; what is made of one, or a part, has "
               "none";
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
  if (lacks_right_to_reserve(answer)) {
    return {ErrorKind::unsupported, cause + ": this process has no right to",
            "be root, or have CAP_SYS_RAWIO, and with kernels before 6.6 CAP_SYS_ADMIN as well"};
  }
  if (has_no_reservations(answer)) {
    return {
        ErrorKind::unsupported,
        fmt::format("{}: it has no persistent reservations{}", cause, being_what(calls_->kind())),
        remedy_without(calls_->kind())};
  }
  return answer < 0 ? Error(ErrorKind::io,
                            fmt::format("{}: {}", cause, std::generic_category().message(-answer)))
                    : Error(ErrorKind::unsupported,
                            fmt::format("{}: the device refuses it (status {:#x})", cause, answer));
}

Error PersistentReservation::unseen(int answer) const {
  if (has_no_reservations(answer)) {
    const bool is_whole = calls_->kind() == Kind::whole;
    return {ErrorKind::unsupported,
            fmt::format("{}: who has reserved it cannot be told: it has no persistent "
                        "reservations{}{}",
                        name_, being_what(calls_->kind()),
                        is_whole ? ", or this kernel cannot read them" : ""),
            remedy_without(calls_->kind())};
  }
  return refused("tell who has reserved it", answer);
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
  [[maybe_unused]] const Status given_back = give_back();
  return error;
}

// With the key a reservation would go that this host may hold, of an owner that was killed or by a
// take-over: what an owner elsewhere has on its way would land. Not by give_back() either.
Status PersistentReservation::leave_key(Error error) {
  leave();
  return error;
}

// Once: a process that is confined by now takes it again without a look, which its filter does not
// let through.
Result<std::optional<ReservationCalls::Held>> PersistentReservation::look_once(Sight sight) {
  std::optional<ReservationCalls::Held> held;
  if (looked_) {
    return held;
  }
  const int answer = calls_->held(held);
  looked_ = answer == 0 || has_no_reservations(answer) ||
            (sight == Sight::if_possible && lacks_right_to_reserve(answer));
  if (!looked_) {
    return unseen(answer);
  }
  is_nobodys_ = answer == 0 && !held;
  return held;
}

Error PersistentReservation::not_ours(const ReservationCalls::Held& held) const {
  return {ErrorKind::in_use,
          fmt::format("{}: something that is not vNVRAM has reserved it (key {:#x}, type {})",
                      name_, held.key, held.type),
          "end that; a reservation that is left behind goes by `sg_persist --out "
          "--register-ignore --param-sark=1 DEVICE`, then `sg_persist --out --clear "
          "--param-rk=1 DEVICE`"};
}

// Somebody else's on this very host would be lost with the key that is exchanged.
Status PersistentReservation::take() {
  const Result<std::optional<ReservationCalls::Held>> held = look_once(Sight::needed);
  if (!held) {
    return held.error();
  }
  if (*held && !is_own_kind(**held)) {
    return not_ours(**held);
  }
  // Before anything is done: who had it then may give it back before it is taken.
  const bool is_here = *held && calls_->has_key((*held)->key) == 0;
  Status reserved = reserve();
  was_here_ = was_here_ || (reserved && is_here);
  return reserved;
}

Status PersistentReservation::join() {
  if (key_ != 0) {
    return reserve();
  }
  const Result<std::optional<ReservationCalls::Held>> held = look_once(Sight::if_possible);
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
  const bool was_nobodys = std::exchange(is_nobodys_, false);
  if (answer == 0) {
    return {};
  }
  if (is_reservation_conflict(answer)) {
    return drop_key({ErrorKind::in_use, name_ + ": another host has reserved it",
                     "end its owner there; if that host is dead: `takeover` here, which "
                     "leaves a seal as it is"});
  }
  return was_nobodys ? drop_key(refused("reserve it", answer))
                     : leave_key(refused("reserve it", answer));
}

Status PersistentReservation::shut_out_holder() {
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    std::optional<ReservationCalls::Held> held;
    if (const int answer = calls_->held(held); answer != 0) {
      return leave_key(unseen(answer));
    }
    if (!held) {
      return drop_key(Error(ErrorKind::unsupported, name_ + ": nobody has reserved it"));
    }
    if (key_ != 0 && held->key == key_) {
      return {};
    }
    if (!is_own_kind(*held)) {
      return drop_key(not_ours(*held));
    }
    if (key_ == 0) { // If it is held by this host it is by this key then.
      if (const Status registered = register_key(); !registered) {
        return registered;
      }
      continue;
    }
    const int answer = calls_->preempt(key_, held->key);
    if (answer != 0 && !is_reservation_conflict(answer)) { // It may be taken all the same.
      return leave_key(refused("take its reservation", answer));
    }
  }
  return drop_key(Error(ErrorKind::io, name_ + ": who has reserved it changes all the time",
                        "see which hosts start an owner on it"));
}

bool PersistentReservation::is_lost() {
  return key_ != 0 && is_reservation_conflict(calls_->reserve(key_));
}

// Not answered by a conflict: another host may have taken it, and the key with it.
Status PersistentReservation::give_back() {
  was_here_ = false;
  const std::uint64_t key = std::exchange(key_, 0);
  const int answer = key == 0 ? 0 : calls_->drop_key(key);
  if (answer == 0 || is_reservation_conflict(answer)) {
    return {};
  }
  const Error error = refused("give its reservation back", answer);
  return Error(error.kind(), error.cause(),
               "it is this host's still: the next owner here goes on with it, and another host "
               "takes it by `takeover`");
}

void PersistentReservation::leave() {
  key_ = 0;
}

ReservationLook PersistentReservation::look() {
  ReservationLook look;
  std::optional<ReservationCalls::Held> held;
  const int seen = calls_->held(held);
  const int may = calls_->may_register();
  look.lacks_right = lacks_right_to_reserve(seen) || lacks_right_to_reserve(may);
  const bool device_has_none = seen == -EOPNOTSUPP; // As it says itself.
  if (device_has_none || may != 0) {
    look.possible = refused("reserve it", device_has_none ? seen : may);
  } else if (seen != 0 && !has_no_reservations(seen)) {
    look.possible = unseen(seen);
  }
  if (seen != 0) {
    return look;
  }
  if (!held) {
    look.holder = ReservationLook::Holder::nobody;
    return look;
  }
  look.key = held->key;
  if (!is_own_kind(*held)) {
    look.holder = ReservationLook::Holder::something_else;
    look.possible = look.possible ? not_ours(*held) : look.possible;
    return look;
  }
  const int is_here = may == 0 ? calls_->has_key(held->key) : may;
  look.holder = is_here == 0                       ? ReservationLook::Holder::this_host
                : is_reservation_conflict(is_here) ? ReservationLook::Holder::another_host
                                                   : ReservationLook::Holder::some_host;
  return look;
}

} // namespace vnvram
