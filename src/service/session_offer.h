// A front end's session, as whoever starts it offers it to the image's owner.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

struct SessionOffer {
  /// As a Grant of owner.capnp.
  struct Right {
    std::string name;
    bool is_prefix = false;
    bool writes = false;
    bool registers = false;
  };

  std::string device; ///< What the front end is, for people: [a-z0-9.-].
  pid_t pid = 0;
  std::optional<uid_t> uid; ///< Whom it becomes; nothing: who offers it.
  std::vector<Right> rights;
  /// What ends so is not reached, whatever the rights say.
  std::vector<std::string> except_endings;

  /// A line each, the words of which are separated by spaces.
  [[nodiscard]] std::string text() const;
  /// Errors: invalid_argument.
  static Result<SessionOffer> parse(std::string_view text);
};

} // namespace vnvram
