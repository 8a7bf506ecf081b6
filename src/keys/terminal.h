// Asks a person for a passphrase.
#pragma once

#include <string>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// Says `prompt` on /dev/tty and reads a line there, without showing it and without its newline.
/// Who ends the program by a key meanwhile ends it, and finds the terminal as it was. Errors:
/// key_needed (no terminal, or no answer), io.
Result<SecretBytes> ask_at_terminal(const std::string& prompt);

} // namespace vnvram
