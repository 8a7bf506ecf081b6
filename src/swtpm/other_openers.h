// Who else has a file or device open.
#pragma once

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// swtpm 0.7 locks nothing where it keeps its state in a file or on a device: whether one runs
/// there can only be seen by who has it open. As far as this process may see that: root sees all of
/// this host. Errors: in_use.
Status check_not_open_elsewhere(const std::string& path);

} // namespace vnvram
