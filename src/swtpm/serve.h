// The TPM, served until it ends: what vnvram-swtpm is for.
#pragma once

#include "swtpm/swtpm_log.h"
#include "swtpm/swtpm_options.h"
#include "vnvram/result.h"

namespace vnvram {

/// For the actions `serve` and `print_states`. The process has its root and its user already. An
/// error: it did not start, and that is not said yet.
Status serve(const SwtpmOptions& options, const SwtpmLog& log);

} // namespace vnvram
