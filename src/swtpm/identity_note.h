// A TPM's identity, noted where everybody can read it.
#pragma once

#include "owner/image_keeper.h"
#include "service/log.h"

namespace vnvram {

/// swtpm_setup manufactures a TPM by commands, so it is known at the end only what has become of
/// it. An image whose TPM 2.0 has certificates of its endorsement keys, and that does not say
/// so, does from now on, as one that was made with an identity does. The process's TPM is
/// off. What fails is in the log, and done at the next end.
void note_identity(ImageKeeper& keeper, const Log& log);

} // namespace vnvram
