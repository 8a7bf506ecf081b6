// Whether this host's libtpms takes the TPMs that an image holds.
#pragma once

#include "preflight/finding.h"
#include "vnvram/store.h"

namespace vnvram {

/// Of each TPM of which there is a blob, by its name: that all of its blobs are there, with their
/// types; that libtpms starts with copies of its states in memory, so that one that a later libtpms
/// has made, or one with a profile that this one does not know, is refused, as is one that has lost
/// its state; and that the image has room for the blobs of all of them at the sizes that this
/// libtpms asks for.
///
/// For one thread at a time, in a process in which no TPM runs. Errors: those of reading.
Result<PreflightFindings> check_tpms(Store& store);

} // namespace vnvram
