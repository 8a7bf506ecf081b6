// Servers that are found by a name.
#pragma once

#include <string>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram {

/// Whether to connect to it takes a resolver: of an NBD URI by TCP, that it has no numeric address.
/// A process that has given up its rights has none, and cannot open such an image again.
[[nodiscard]] bool is_named_server(std::string_view location);

/// invalid_argument: of such an image, which two hosts are to see.
[[nodiscard]] Error named_server_error(const std::string& location);

} // namespace vnvram
