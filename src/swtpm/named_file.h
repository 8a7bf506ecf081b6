// A file in a folder that somebody else may write to, too.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// Opens what has this name, without following a link, to be looked at only (O_PATH); an invalid
/// one: nothing has it. Errors: foreign (it is no regular file), io.
Result<UniqueFd> find_file(const std::string& path);

/// Whether the name still leads to it. Errors: absent, stale (something else has the name).
Status check_name_of(const UniqueFd& file, const std::string& path);

/// The names in the folder of `path` are durable. Errors: io.
Status sync_folder_of(const std::string& path);

} // namespace vnvram
