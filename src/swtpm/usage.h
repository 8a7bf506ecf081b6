// What --help and --version say.
#pragma once

#include <string>
#include <string_view>

#include "swtpm/swtpm_options.h"

namespace vnvram {

/// The release of swtpm whose command line, less what is refused by name, this program has: what
/// callers compare with.
inline constexpr std::string_view swtpm_release = "0.8.0";

/// Whose program this is, and which release.
std::string program_text();

/// One line that begins as swtpm's does, up to the comma.
std::string version_text();

/// For the whole program (Interface::none), or one interface's options.
std::string usage_text(SwtpmOptions::Interface interface);

} // namespace vnvram
