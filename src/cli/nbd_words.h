// What stands behind an address of `vnvram serve --nbd`.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/device_socket.h"
#include "vnvram/result.h"

namespace vnvram::cli {

struct NbdWords {
  std::vector<std::string> exports; ///< None: all blobs that are no TPM's.
  std::set<std::string> read_only;

  /// Errors: invalid_argument.
  static Result<NbdWords> parse(const DeviceSocket& socket);
};

} // namespace vnvram::cli
