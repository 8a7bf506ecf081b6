// A device whose reservations say what is hard to have a real one say.
#pragma once

#include <linux/pr.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "device/persistent_reservation.h"
#include "device/reservation_calls.h"

namespace vnvram {

using Host = std::string; ///< Its name.

inline constexpr int conflict = 0x118; // As SCSI's comes from Linux 6.1.
inline constexpr int nvme_conflict = 0x4083;
inline constexpr std::uint64_t foreign_key = 0xabcdef;

/// A device with one reservation, by the rules of SPC-4 for PR_WRITE_EXCLUSIVE.
struct Lun {
  std::map<Host, std::uint64_t> keys;
  Host holder;
  std::uint32_t type = PR_WRITE_EXCLUSIVE;
  int aborts = 0;
  int looks = 0;

  [[nodiscard]] bool takes_writes_of(const Host& host) const {
    return holder.empty() || holder == host;
  }
};

class LunCalls final : public ReservationCalls {
public:
  LunCalls(Lun& lun, Host host) : lun_(lun), host_(std::move(host)) {}

  [[nodiscard]] Kind kind() const override { return is; }
  int set_key(std::uint64_t key) override {
    if (refusal != 0) {
      return refusal;
    }
    lun_.keys[host_] = key;
    return 0;
  }
  int drop_key(std::uint64_t key) override {
    if (failure != 0) {
      return std::exchange(failure, 0);
    }
    if (!has(key)) {
      return conflict;
    }
    lun_.keys.erase(host_);
    lun_.holder = lun_.holder == host_ ? Host() : lun_.holder;
    return 0;
  }
  int reserve(std::uint64_t key) override {
    if (failure != 0) {
      return std::exchange(failure, 0);
    }
    if (!has(key) || (!lun_.holder.empty() && lun_.holder != host_)) {
      return conflict_says;
    }
    lun_.holder = host_;
    return 0;
  }
  int preempt(std::uint64_t key, std::uint64_t other) override {
    if (failure != 0) {
      return std::exchange(failure, 0);
    }
    if (before_preempting) {
      std::exchange(before_preempting, nullptr)();
    }
    if (!has(key) || lun_.holder.empty() || lun_.keys[lun_.holder] != other) {
      return conflict_says;
    }
    lun_.keys.erase(lun_.holder);
    lun_.holder = host_;
    ++lun_.aborts;
    return 0;
  }
  int has_key(std::uint64_t key) override { return has(key) ? 0 : conflict_says; }
  int may_register() override { return refusal; }
  int held(std::optional<Held>& found) override {
    ++lun_.looks;
    if (before_looking) {
      before_looking();
    }
    if (cannot_tell != 0) {
      return cannot_tell;
    }
    found =
        lun_.holder.empty() ? std::optional<Held>() : Held{lun_.keys.at(lun_.holder), lun_.type};
    return 0;
  }

  Kind is = Kind::whole;
  int refusal = 0;
  int conflict_says = conflict;
  int cannot_tell = 0;
  int failure = 0; ///< Of what reserves, preempts or drops, once.
  std::function<void()> before_looking;
  std::function<void()> before_preempting;

private:
  [[nodiscard]] bool has(std::uint64_t key) const {
    const auto found = lun_.keys.find(host_);
    return found != lun_.keys.end() && found->second == key;
  }

  Lun& lun_;
  const Host host_;
};

/// One opening on a host.
struct Opening {
  Opening(Lun& lun, const Host& host)
      : owned(std::make_unique<LunCalls>(lun, host)), calls(*owned),
        reservation(std::move(owned), "/dev/lun") {}

  std::unique_ptr<LunCalls> owned;
  LunCalls& calls;
  PersistentReservation reservation;
};

} // namespace vnvram
