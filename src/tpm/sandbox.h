// What the daemon gives up once everything is open.
#pragma once

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// Becomes this user, with its group and supplementary groups, for good. Errors: invalid_argument
/// (no such user), unsupported (not started as root).
Status become_user(const std::string& user);

/// What happens at a system call that the daemon never makes.
enum class Seccomp { on, log, off };

/// From now on no thread of the process gets new privileges, nor makes a system call that serving a
/// TPM and its store does not need: such a call ends the process (`on`), or reaches the system's
/// audit log (`log`). Threads cannot be started afterwards, and no file can be opened;
/// `has_admin`: but connections to drives can. Errors: unsupported.
Status confine(Seccomp mode, bool has_admin);

} // namespace vnvram
