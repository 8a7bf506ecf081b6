// A key that a process keeps for those that it starts: what can be read only once is read by it.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// What one of them is given as KEY: `text`, with the number of `descriptor` behind it if there is
/// one. A file that stays, or a command, is asked anew by each. All else is read now, and kept in
/// memory that has no name, which only who is given it can read; each reads it from its beginning.
struct HeldKey {
  std::string text;
  std::optional<UniqueFd> descriptor;

  /// Of a KEY (KeySource::parse()). `image`: its name, for who is asked for a passphrase. Errors:
  /// invalid_argument, io, and what reading it says.
  static Result<HeldKey> hold(const std::string& text, const std::string& image);
};

} // namespace vnvram
