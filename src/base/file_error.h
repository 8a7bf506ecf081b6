// What the system says about a file that was to be made, opened or written to.
#pragma once

#include <string>
#include <string_view>

#include "vnvram/error.h"

namespace vnvram {

/// The kind for an errno of a call that changes a file: no_space, read_only or io.
ErrorKind change_error_kind(int error);

/// "PATH: WHAT: the system's words", and what to do about it. `whose`: what this user lacks the
/// rights for, in words.
Error change_error(const std::string& path, std::string_view what, int error,
                   std::string_view whose = "it");

} // namespace vnvram
