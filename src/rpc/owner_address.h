// Where an image's owner is reached: unix:PATH, its control socket; fd:N, a socket over which
// whoever has started this process passes connections to it on.
#pragma once

#include <string>
#include <string_view>

#include "rpc/connector.h"
#include "vnvram/result.h"

namespace vnvram {

/// What connects to it. Its errors: absent (nobody listens there), io (also: no connection has been
/// passed on; the first one is waited for, 10 s). Errors: invalid_argument (no such address).
Result<Connector> connector_to(const std::string& address);

/// Whether its connections come from who has started this process: it opens none itself.
[[nodiscard]] bool is_passed_on(std::string_view address);

} // namespace vnvram
