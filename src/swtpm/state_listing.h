// --print-states: which states of a TPM there are in a place.
#pragma once

#include <string>

#include "soft_tpm/tpm_blobs.h"
#include "swtpm/tpm_state_option.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// One line of JSON, as swtpm prints it; the names are swtpm's. What is there is swtpm's own state
/// or an image; nothing is made, changed or locked. Of an encrypted image that these keys do not
/// open it says that there is a permanent state. Errors: absent (no such folder), exists (it holds
/// something else), corrupt, io.
Result<std::string> list_states(const TpmStateOption& place, TpmVersion version,
                                const KeyRing& keys);

} // namespace vnvram
