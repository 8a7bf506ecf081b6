#include "vnvram/error.h"

namespace vnvram {

std::string_view kind_name(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::absent: return "absent";
  case ErrorKind::blank: return "blank";
  case ErrorKind::foreign: return "foreign";
  case ErrorKind::corrupt: return "corrupt";
  case ErrorKind::in_use: return "in-use";
  case ErrorKind::key_needed: return "key-needed";
  case ErrorKind::wrong_key: return "wrong-key";
  case ErrorKind::too_new: return "too-new";
  case ErrorKind::no_space: return "no-space";
  case ErrorKind::io: return "io";
  case ErrorKind::poisoned: return "poisoned";
  case ErrorKind::stale: return "stale";
  case ErrorKind::read_only: return "read-only";
  case ErrorKind::not_found: return "not-found";
  case ErrorKind::exists: return "exists";
  case ErrorKind::type_mismatch: return "type-mismatch";
  case ErrorKind::too_large: return "too-large";
  case ErrorKind::invalid_argument: return "invalid-argument";
  case ErrorKind::unsupported: return "unsupported";
  case ErrorKind::sealed: return "sealed";
  case ErrorKind::not_at_anchor: return "not-at-anchor";
  }
  return "unknown";
}

std::string Error::text() const {
  return remedy_.empty() ? cause_ : cause_ + " (" + remedy_ + ")";
}

} // namespace vnvram
