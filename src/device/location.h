// What a location is, by how it begins: the one table of the schemes that images are opened by.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vnvram {

enum class LocationScheme {
  path, ///< Of a file or block device of this host: all that begins like none of the others.
  nbd,  ///< An NBD URI.
  /// "fd:N": a file or block device that whoever has started this process has opened.
  descriptor,
  /// A process that has an image open, no device: its control socket, or "fd:N", a socket over
  /// which connections to it come.
  owner,
};

/// What "fd:N" is depends on what descriptor N is open on; one that is not open is no owner.
[[nodiscard]] LocationScheme scheme_of(std::string_view location);

/// N of "fd:N"; nothing for all others, and for numbers of the standard streams.
[[nodiscard]] std::optional<int> descriptor_of(std::string_view location);

/// What to call it in messages: of "fd:N" the file's name, as far as the kernel says one.
[[nodiscard]] std::string location_name(const std::string& location);

/// Whether it is somebody's export, reached by a socket: it has the format and the size that its
/// server gives it, and a process that may open no file any more can open it.
[[nodiscard]] bool is_served(std::string_view location);

} // namespace vnvram
