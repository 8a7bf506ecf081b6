// libtpms, not to be heard.
#pragma once

#include <fcntl.h>
#include <libtpms/tpm_library.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vnvram {

/// It says on standard error what it does not like, in its own words and beside ours.
class QuietLibtpms {
public:
  QuietLibtpms() : nowhere_(::open("/dev/null", O_WRONLY | O_CLOEXEC)) {
    TPMLIB_SetDebugFD(nowhere_.get());
  }
  QuietLibtpms(const QuietLibtpms&) = delete;
  QuietLibtpms& operator=(const QuietLibtpms&) = delete;
  ~QuietLibtpms() { TPMLIB_SetDebugFD(STDERR_FILENO); }

private:
  UniqueFd nowhere_;
};

} // namespace vnvram
