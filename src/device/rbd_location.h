// Where an RBD image is, as a user writes it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

/// rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:OPTION=VALUE]..., with a backslash before each character
/// that is meant as itself: QEMU's syntax. Of the options `id` is the Ceph user's name without
/// "client." and `conf` the configuration file; all others are Ceph's own (keyring, mon_host, ...).
struct RbdLocation {
  std::string text; ///< As the user wrote it.
  std::string pool;
  std::string name_space; ///< Empty: the pool's own.
  std::string image;
  std::string snapshot; ///< Empty: the image as it is now.
  std::string id;       ///< Empty: Ceph's default, "admin".
  std::string conf;     ///< Empty: where Ceph's own tools look.
  std::vector<std::pair<std::string, std::string>> settings;

  /// Error: invalid_argument, also for options that are not the user's to choose.
  static Result<RbdLocation> parse(std::string_view text);

  /// Error: invalid_argument, when a file that it names (conf, keyring, keyfile) is another one in
  /// another folder: of who changes it between two openings.
  [[nodiscard]] Status check_names_of_files() const;

  /// As Ceph's own tools name it: POOL/[NAMESPACE/]IMAGE[@SNAPSHOT].
  [[nodiscard]] std::string spec() const;
};

/// Such a text for messages: as it is, but for the value of a key, which is refused.
[[nodiscard]] std::string rbd_location_name(std::string_view text);

} // namespace vnvram
