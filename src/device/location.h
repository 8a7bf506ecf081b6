// What a location is, by how it begins: the one table of the schemes that images are opened by.
#pragma once

#include <string_view>

namespace vnvram {

enum class LocationScheme {
  path, ///< Of a file or block device of this host: all that begins like none of the others.
  nbd,  ///< An NBD URI.
        /// A process that has an image open, no device: its control socket, or one over which
        /// connections
  /// to it come.
  owner,
};

[[nodiscard]] LocationScheme scheme_of(std::string_view location);

/// Whether it is somebody's export, reached by a socket: it has the format and the size that its
/// server gives it, and a process that may open no file any more can open it.
[[nodiscard]] bool is_served(std::string_view location);

} // namespace vnvram
