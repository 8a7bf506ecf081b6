#include "base/exit_code.h"

namespace vnvram {

ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::absent: return ExitCode::absent;
  case ErrorKind::blank: return ExitCode::blank;
  case ErrorKind::foreign: return ExitCode::foreign;
  case ErrorKind::corrupt: return ExitCode::corrupt;
  case ErrorKind::in_use: return ExitCode::in_use;
  case ErrorKind::key_needed: return ExitCode::key_needed;
  case ErrorKind::wrong_key: return ExitCode::wrong_key;
  case ErrorKind::too_new: return ExitCode::too_new;
  case ErrorKind::no_space: return ExitCode::no_space;
  case ErrorKind::io: return ExitCode::io;
  case ErrorKind::poisoned: return ExitCode::poisoned;
  case ErrorKind::stale: return ExitCode::stale;
  case ErrorKind::read_only: return ExitCode::read_only;
  case ErrorKind::not_found: return ExitCode::not_found;
  case ErrorKind::exists: return ExitCode::exists;
  case ErrorKind::type_mismatch: return ExitCode::type_mismatch;
  case ErrorKind::too_large: return ExitCode::too_large;
  case ErrorKind::invalid_argument: return ExitCode::usage;
  case ErrorKind::unsupported: return ExitCode::unsupported;
  case ErrorKind::sealed: return ExitCode::sealed;
  case ErrorKind::not_at_anchor: return ExitCode::not_at_anchor;
  }
  return ExitCode::failure;
}

} // namespace vnvram
