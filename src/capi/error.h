// From Result and exceptions to the C API's kinds and error objects.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "vnvram/result.h"
#include "vnvram/vnvram.h"

struct vnvram_error {
  vnvram_kind kind;
  std::string cause;
  std::string remedy;
  std::string text;
};

namespace vnvram::capi {

[[nodiscard]] vnvram_kind to_kind(ErrorKind kind);
[[nodiscard]] vnvram_error to_error(const Error& error);

/// Each gives *error to the caller, unless error is NULL, and returns the kind.
vnvram_kind fail(vnvram_error** error, const Error& cause) noexcept;
vnvram_kind fail_unexpected(vnvram_error** error, const char* cause) noexcept;
vnvram_kind fail_out_of_memory(vnvram_error** error) noexcept;

[[nodiscard]] inline Error invalid(std::string cause) {
  return {ErrorKind::invalid_argument, std::move(cause)};
}

/// Runs a call that returns a Status, and lets no exception out.
template <typename Call> vnvram_kind guarded(vnvram_error** error, Call&& call) noexcept {
  try {
    const Status status = std::forward<Call>(call)();
    if (!status) {
      return fail(error, status.error());
    }
    if (error != nullptr) {
      *error = nullptr;
    }
    return VNVRAM_OK;
  } catch (const std::bad_alloc&) {
    return fail_out_of_memory(error);
  } catch (const std::exception& exception) {
    return fail_unexpected(error, exception.what());
  } catch (...) {
    return fail_unexpected(error, "an unknown exception");
  }
}

} // namespace vnvram::capi
