// What a location is, by how it begins: the one table of the schemes that images are opened by.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vnvram {

enum class LocationScheme {
  path, ///< Of a file or block device of this host: all that begins like none of the others.
  nbd,  ///< An NBD URI.
  rbd,  ///< An image in a Ceph cluster: see RbdLocation.
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

/// What to call it in messages: of "fd:N" the file's name, as far as the kernel says one; a key
/// that somebody has written into it is left out.
[[nodiscard]] std::string location_name(const std::string& location);

/// The same for who is somebody else, and has another folder: the name of a file is a whole path.
[[nodiscard]] std::string location_name_elsewhere(const std::string& location);

/// Whether servers have it and no file of this host: it is raw, whatever its first bytes say.
[[nodiscard]] bool is_served(std::string_view location);

/// Whether it is a block device of this host. Also yes if that cannot be told, as of what is not
/// there yet.
[[nodiscard]] bool may_be_block_device(const std::string& location);

/// Whether opening it takes the right to open files: libraries, configuration and keys are some.
[[nodiscard]] bool needs_files(std::string_view location);

/// Whether it has threads of its own for as long as it is open, which make connections anew. They
/// do not take part in a fork.
[[nodiscard]] bool has_own_threads(std::string_view location);

} // namespace vnvram
