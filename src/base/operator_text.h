// Errors as they are said to whoever runs the programs.
#pragma once

#include <string>
#include <string_view>

#include "vnvram/error.h"

namespace vnvram {

/// What a remedy calls by the name of an operation, in backquotes, as the command that does it:
/// "`repair` mends it" is "vnvram repair mends it".
[[nodiscard]] std::string with_commands(std::string_view remedy);

/// The error with such a remedy, and its text. For front ends: what is below them does not know
/// that there is a command.
[[nodiscard]] Error for_operators(const Error& error);
[[nodiscard]] std::string operator_text(const Error& error);

} // namespace vnvram
