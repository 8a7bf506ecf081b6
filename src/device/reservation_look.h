// Who has a host's block device reserved, and whether it could be reserved here: asked beside an
// owner, and before there is one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

struct ReservationLook {
  enum class Holder {
    nobody,
    this_host,
    another_host,
    some_host,      ///< This process may not find out which.
    something_else, ///< That is not vNVRAM.
  };
  std::optional<Holder> holder = {}; ///< Nothing: that cannot be seen.
  std::uint64_t key = 0;             ///< Of the holder; 0: there is none.
  /// Whether the device and the rights of this process are what a reservation takes; that another
  /// host has it at the moment is no hindrance. Errors: unsupported; in_use (something_else); io.
  Status possible = {};
  bool lacks_right = false; ///< `possible` says so, or would: of this process.

  /// In one line.
  [[nodiscard]] std::string text() const;
};

/// Nothing is changed. Nothing is returned for a place that is no block device of this host, or
/// cannot be opened.
std::optional<ReservationLook> look_for_reservation(const std::string& location);

/// Whether what reserve_when_locked() needs is there, for who opens the place later: a block device
/// that this process could open for writing, and that `possible` says nothing against. Errors:
/// invalid_argument (no block device), unsupported, in_use, read_only, absent, io.
Status check_reservable(const std::string& location);

} // namespace vnvram
