// Where the TPM's state is: --tpmstate, or the environment.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram {

struct TpmStateOption {
  enum class Kind {
    folder,   ///< dir=D, backend-uri=dir://D: the image is in D, by the name of swtpm's state.
    file,     ///< backend-uri=file://F: a file or a block device.
    location, ///< backend-uri=vnvram:LOCATION, which is ours: any image that there is.
  };
  Kind kind = Kind::folder;
  std::string path; ///< Or the location. Never empty.
  std::optional<mode_t>
      mode;            ///< Of files that are made; nothing: 0640, and of one that is there its own.
  bool locks = true;   ///< Swtpm's lock is taken, too. Our own locks always are.
  bool backup = false; ///< A copy beside it was asked for.
  bool syncs = false;  ///< What an image does anyway.
};

/// Errors: invalid_argument (also for a URI of a kind that swtpm would stumble over later).
Result<TpmStateOption> parse_tpm_state(std::string_view list);

/// For TPM_PATH.
TpmStateOption tpm_state_in(std::string folder);

} // namespace vnvram
