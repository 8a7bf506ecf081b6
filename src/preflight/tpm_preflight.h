// Whether this host's libtpms takes the TPMs that an image holds.
#pragma once

#include "preflight/finding.h"
#include "vnvram/store.h"

namespace vnvram {

/// Of each TPM, by its blobs: that libtpms starts with copies of its states in memory, so that one
/// that a later libtpms has made, or one with a profile that this one does not know, is refused;
/// that the image has room for its blobs at the sizes that this libtpms asks for; and that nothing
/// has to be known of them that is not known here.
///
/// For one thread at a time, in a process in which no TPM runs. Errors: those of reading.
Result<PreflightFindings> check_tpms(Store& store);

} // namespace vnvram
