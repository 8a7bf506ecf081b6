// Reads what a key is made of, to its end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// Where it is read from.
struct KeyInput {
  std::string path;    ///< Empty: the descriptor.
  int descriptor = -1; ///< The caller's, and stays open.
  bool remove = false; ///< The file, when it has been read.

  /// For messages.
  [[nodiscard]] std::string name() const;
};

/// Of file:PATH[,remove] or fd:N.
[[nodiscard]] std::optional<KeyInput> parse_key_input(std::string_view text);

/// A descriptor of what can be read at any place, as that of a file, is read from its beginning.
/// Errors: io (never absent: that is what is said of images), invalid_argument (more than that).
Result<SecretBytes> read_secret(const KeyInput& input, std::size_t max_bytes);
/// What is no secret.
Result<std::vector<std::byte>> read_public_file(const std::string& path, std::size_t max_bytes);

} // namespace vnvram
