// Who is at the command line, for what an image keeps of it.
#pragma once

#include <string>

namespace vnvram::cli {

/// "TIME by USER on HOST", the time in UTC.
[[nodiscard]] std::string who_and_when();

} // namespace vnvram::cli
