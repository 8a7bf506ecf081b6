// What this program and its libtpms can do, as swtpm's callers ask for it.
#pragma once

#include <string>

#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

/// One line of JSON, for --print-capabilities. RSA key sizes are those of `version`. Errors: io
/// (libtpms says what nobody can read).
Result<std::string> swtpm_capabilities(TpmVersion version);

/// One line of JSON, libtpms's own words, for --print-info. Errors: unsupported.
Result<std::string> libtpms_information(TpmVersion version, unsigned flags);

} // namespace vnvram
