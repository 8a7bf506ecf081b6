// Where an image's owner is reached: unix:PATH, its control socket; fd:N, a socket over which
// whoever has started this process passes connections to it on.
#pragma once

#include <chrono>
#include <string>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// A connection. `wait_max`: for one to be passed on (fd:N), each of which is one. Errors:
/// invalid_argument (no such address), absent (nobody listens there), io (also: none has come).
Result<UniqueFd> connect_to_owner(const std::string& address, std::chrono::milliseconds wait_max);

} // namespace vnvram
