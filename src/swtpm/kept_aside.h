// swtpm's state, kept when an image takes its place.
#pragma once

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// Beside the file, by another name that begins with its own and says whose it is: PATH.swtpm, or
/// PATH.swtpm.2 and so on if there are older ones. The file itself stays where it is until
/// something takes its place. Durable on return, as the name is; harmless if it was done before.
/// Returns the name. Errors: no_space, read_only, io.
Result<std::string> keep_aside(const std::string& path);

/// The first of those names, if there is something by it; else nothing.
std::string kept_aside(const std::string& path);

} // namespace vnvram
