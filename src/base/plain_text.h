// Text from anywhere, made fit for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace vnvram {

/// UTF-8 stays as it is; control characters (C0, DEL, C1) and bytes that are not UTF-8 become \xNN.
/// For messages: what they quote may come from an image, a server or a file's name, and must not
/// steer the terminal of who reads them.
std::string plain_text(std::string_view text);

} // namespace vnvram
