// swtpm's state, kept when an image takes its place.
#pragma once

#include <string>

#include "base/folder.h"
#include "vnvram/result.h"

namespace vnvram {

/// Beside the file, by another name that begins with its own and says whose it is: NAME.swtpm, or
/// NAME.swtpm.2 and so on if there are older ones. The file itself stays where it is until
/// something takes its place. Durable on return, as the name is; harmless if it was done before.
/// Returns the path. Errors: no_space, read_only, io.
Result<std::string> keep_aside(const Folder& folder, const std::string& name);

/// The first of those names, if there is something by it; else nothing.
std::string kept_aside(const Folder& folder, const std::string& name);

} // namespace vnvram
