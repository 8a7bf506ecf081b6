// What `vnvram serve --shared` cannot be with.
#pragma once

#include <cstddef>
#include <string>

#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram::cli {

struct SharedUse {
  const std::string& image;
  const DeviceOptions& device;
  std::size_t tpm_count = 0;
  bool is_incoming = false;
  bool takes_over = false;
};

/// Error: invalid_argument.
Status check_shared(const SharedUse& use);

} // namespace vnvram::cli
