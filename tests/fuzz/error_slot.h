// What every failing call of the C API must leave behind.
#pragma once

#include <string>

#include <fmt/core.h>

#include "fuzz/capi_model.h"
#include "fuzz/require.h"
#include "vnvram/vnvram.h"

namespace vnvram::fuzz {

/// Receives a call's error. It is there exactly when the call failed, and says why.
class ErrorSlot {
public:
  ErrorSlot() = default;
  ErrorSlot(const ErrorSlot&) = delete;
  ErrorSlot& operator=(const ErrorSlot&) = delete;
  ~ErrorSlot() { vnvram_error_free(error_); }
  vnvram_error** out() { return &error_; }
  [[nodiscard]] std::string text() const {
    return error_ == nullptr ? "no error" : vnvram_error_text(error_);
  }
  /// True if the call succeeded.
  bool judge(vnvram_kind result, const Kinds& allowed, const char* call) const {
    require(allowed.contains(result),
            fmt::format("{} may not end with {}: {}", call, vnvram_kind_name(result), text()));
    require((error_ == nullptr) == (result == VNVRAM_OK), "an error comes with a failure");
    if (error_ != nullptr) {
      require(vnvram_error_kind(error_) == result, "the error is of the kind that was returned");
      require(*vnvram_error_cause(error_) != '\0', "an error has a cause");
    }
    return result == VNVRAM_OK;
  }

private:
  vnvram_error* error_ = nullptr;
};

} // namespace vnvram::fuzz
