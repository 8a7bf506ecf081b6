// Whose process this is, and where its paths begin: --chroot and --runas.
#pragma once

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// As swtpm does, before anything is opened: from now on `root` is the root folder (empty: none),
/// and then the process is `user`'s for good (empty: none), a name that is known in there, or a
/// number, which is then the group's number, too. So a file that is named on the command line is
/// one that this user may open, and no other. Errors: invalid_argument (no such user), unsupported.
Status take_identity(const std::string& root, const std::string& user);

} // namespace vnvram
