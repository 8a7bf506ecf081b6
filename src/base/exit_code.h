// What a program of ours tells a script when it ends. Documented in the manual pages.
#pragma once

#include "vnvram/error.h"

namespace vnvram {

/// The numbers are part of the interface and never change their meaning.
enum class ExitCode : int {
  ok = 0,
  failure = 1, ///< Anything that has no number of its own.
  usage = 2,   ///< The command line, or a name or size on it, can never be right.

  absent = 10,
  blank = 11,
  foreign = 12,
  corrupt = 13,
  in_use = 14,
  key_needed = 15,
  wrong_key = 16,
  too_new = 17,

  no_space = 20,
  io = 21,
  poisoned = 22,
  stale = 23,
  read_only = 24,
  not_found = 25,
  exists = 26,
  type_mismatch = 27,
  too_large = 28,
  unsupported = 29,
  sealed = 30,
  not_at_anchor = 31,
};

/// The code that a program ends with when it gives up because of such an error.
[[nodiscard]] ExitCode exit_code(ErrorKind kind);

} // namespace vnvram
