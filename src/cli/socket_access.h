// Who may connect to a socket, as the user says it.
#pragma once

#include <string>

#include "service/listener.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// `mode` in octal, or empty: SocketAccess's own; `group` may be empty: the process's. `option` is
/// what they were given by, for messages: "--" for --mode and --group. Errors: invalid_argument.
Result<SocketAccess> parse_socket_access(const std::string& option, const std::string& mode,
                                         const std::string& group);

} // namespace vnvram::cli
