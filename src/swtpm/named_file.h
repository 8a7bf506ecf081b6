// A file in a folder that somebody else may write to, too.
#pragma once

#include <string>

#include "base/folder.h"
#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// Opens what has this name, without following a link, to be looked at only (O_PATH); an invalid
/// one: nothing has it. Errors: foreign (it is no regular file), io.
Result<UniqueFd> find_file(const Folder& folder, const std::string& name);

/// Whether the path still leads to it. Errors: absent, stale (something else has the name).
Status check_name_of(const UniqueFd& file, const std::string& path);

} // namespace vnvram
