// One thing that was looked at before an image comes to this host, and what came of it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vnvram/error.h"

namespace vnvram {

struct PreflightFinding {
  enum class Outcome {
    good,    ///< As it has to be.
    note,    ///< It can run, and the operator may want to know.
    unknown, ///< Nothing here can tell.
    refusal, ///< It cannot run: `reason` says why not.
  };

  std::string about; ///< In a word, for scripts: "format", "lock", a TPM's blobs, ...
  Outcome outcome = Outcome::good;
  std::string text;
  std::optional<Error> reason = {};

  static PreflightFinding refusal(std::string about, const Error& error) {
    return {std::move(about), Outcome::refusal, error.cause(), error};
  }
};

using PreflightFindings = std::vector<PreflightFinding>;

} // namespace vnvram
