// A connection to a unix socket that a process of ours listens on.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// `path` without "unix:". Errors: invalid_argument (not a socket's path), absent (nobody listens
/// there; `remedy` says what to do about it), io.
Result<UniqueFd> connect_to_socket(const std::string& path, const std::string& remedy);

} // namespace vnvram
