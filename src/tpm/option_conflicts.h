// Which options of vnvram-tpm go together.
#pragma once

#include <string>

#include "tpm/options.h"
#include "vnvram/result.h"

namespace vnvram {

[[nodiscard]] Error usage_error(std::string cause, std::string remedy = "see vnvram-tpm --help");

/// Of a command line each option of which is right. Errors: invalid_argument.
Status check_options(const Options& options);

} // namespace vnvram
