#include "capi/error.h"

#include <memory>

#include "vnvram/version.h"

namespace vnvram::capi {
namespace {

/// Reporting that memory ran out needs none: these strings fit into the std::string objects.
const vnvram_error& out_of_memory() {
  static const vnvram_error error{VNVRAM_FAILURE, "out of memory", "", "out of memory"};
  return error;
}

} // namespace

vnvram_kind to_kind(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::absent: return VNVRAM_ABSENT;
  case ErrorKind::blank: return VNVRAM_BLANK;
  case ErrorKind::foreign: return VNVRAM_FOREIGN;
  case ErrorKind::corrupt: return VNVRAM_CORRUPT;
  case ErrorKind::in_use: return VNVRAM_IN_USE;
  case ErrorKind::key_needed: return VNVRAM_KEY_NEEDED;
  case ErrorKind::wrong_key: return VNVRAM_WRONG_KEY;
  case ErrorKind::too_new: return VNVRAM_TOO_NEW;
  case ErrorKind::no_space: return VNVRAM_NO_SPACE;
  case ErrorKind::io: return VNVRAM_IO;
  case ErrorKind::poisoned: return VNVRAM_POISONED;
  case ErrorKind::stale: return VNVRAM_STALE;
  case ErrorKind::read_only: return VNVRAM_READ_ONLY;
  case ErrorKind::not_found: return VNVRAM_NOT_FOUND;
  case ErrorKind::exists: return VNVRAM_EXISTS;
  case ErrorKind::type_mismatch: return VNVRAM_TYPE_MISMATCH;
  case ErrorKind::too_large: return VNVRAM_TOO_LARGE;
  case ErrorKind::invalid_argument: return VNVRAM_INVALID_ARGUMENT;
  case ErrorKind::unsupported: return VNVRAM_UNSUPPORTED;
  case ErrorKind::sealed: return VNVRAM_SEALED;
  case ErrorKind::not_at_anchor: return VNVRAM_NOT_AT_ANCHOR;
  }
  return VNVRAM_FAILURE;
}

vnvram_error to_error(const Error& error) {
  return {to_kind(error.kind()), error.cause(), error.remedy(), error.text()};
}

vnvram_kind fail(vnvram_error** error, const Error& cause) noexcept {
  const vnvram_kind kind = to_kind(cause.kind());
  if (error == nullptr) {
    return kind;
  }
  try {
    *error = std::make_unique<vnvram_error>(to_error(cause)).release();
  } catch (...) {
    return fail_out_of_memory(error);
  }
  return kind;
}

vnvram_kind fail_unexpected(vnvram_error** error, const char* cause) noexcept {
  if (error == nullptr) {
    return VNVRAM_FAILURE;
  }
  try {
    const std::string text = std::string("unexpected: ") + cause;
    *error = std::make_unique<vnvram_error>(vnvram_error{VNVRAM_FAILURE, text, "", text}).release();
  } catch (...) {
    return fail_out_of_memory(error);
  }
  return VNVRAM_FAILURE;
}

vnvram_kind fail_out_of_memory(vnvram_error** error) noexcept {
  if (error != nullptr) {
    // The caller only ever reads and frees it, and vnvram_error_free knows it.
    *error = const_cast<vnvram_error*>(&out_of_memory());
  }
  return VNVRAM_FAILURE;
}

} // namespace vnvram::capi

using namespace vnvram;

const char* vnvram_version(void) {
  return version().data();
}

const char* vnvram_kind_name(vnvram_kind kind) {
  switch (kind) {
  case VNVRAM_OK: return "ok";
  case VNVRAM_FAILURE: return "failure";
  case VNVRAM_ABSENT: return kind_name(ErrorKind::absent).data();
  case VNVRAM_BLANK: return kind_name(ErrorKind::blank).data();
  case VNVRAM_FOREIGN: return kind_name(ErrorKind::foreign).data();
  case VNVRAM_CORRUPT: return kind_name(ErrorKind::corrupt).data();
  case VNVRAM_IN_USE: return kind_name(ErrorKind::in_use).data();
  case VNVRAM_KEY_NEEDED: return kind_name(ErrorKind::key_needed).data();
  case VNVRAM_WRONG_KEY: return kind_name(ErrorKind::wrong_key).data();
  case VNVRAM_TOO_NEW: return kind_name(ErrorKind::too_new).data();
  case VNVRAM_NO_SPACE: return kind_name(ErrorKind::no_space).data();
  case VNVRAM_IO: return kind_name(ErrorKind::io).data();
  case VNVRAM_POISONED: return kind_name(ErrorKind::poisoned).data();
  case VNVRAM_STALE: return kind_name(ErrorKind::stale).data();
  case VNVRAM_READ_ONLY: return kind_name(ErrorKind::read_only).data();
  case VNVRAM_NOT_FOUND: return kind_name(ErrorKind::not_found).data();
  case VNVRAM_EXISTS: return kind_name(ErrorKind::exists).data();
  case VNVRAM_TYPE_MISMATCH: return kind_name(ErrorKind::type_mismatch).data();
  case VNVRAM_TOO_LARGE: return kind_name(ErrorKind::too_large).data();
  case VNVRAM_INVALID_ARGUMENT: return kind_name(ErrorKind::invalid_argument).data();
  case VNVRAM_UNSUPPORTED: return kind_name(ErrorKind::unsupported).data();
  case VNVRAM_SEALED: return kind_name(ErrorKind::sealed).data();
  case VNVRAM_NOT_AT_ANCHOR: return kind_name(ErrorKind::not_at_anchor).data();
  }
  return "unknown";
}

vnvram_kind vnvram_error_kind(const vnvram_error* error) {
  return error->kind;
}
const char* vnvram_error_cause(const vnvram_error* error) {
  return error->cause.c_str();
}
const char* vnvram_error_remedy(const vnvram_error* error) {
  return error->remedy.c_str();
}
const char* vnvram_error_text(const vnvram_error* error) {
  return error->text.c_str();
}

void vnvram_error_free(vnvram_error* error) {
  if (error != &capi::out_of_memory()) {
    const std::unique_ptr<vnvram_error> owned(error);
  }
}
