// What stands behind an address of `vnvram serve --tpm`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/device_socket.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram::cli {

struct TpmWords {
  std::string blobs_prefix;
  std::optional<TpmVersion> version; ///< None: the one whose blobs are there.
  bool seals = true;
  std::vector<std::string> options; ///< All of it, as vnvram-tpm takes it.

  /// Errors: invalid_argument.
  static Result<TpmWords> parse(const DeviceSocket& socket);
};

} // namespace vnvram::cli
