// Random numbers that nobody can guess.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// Fills the buffer from the kernel's generator. io if there is none.
Status random_bytes(std::span<std::byte> bytes);

/// Letters and digits, for names that nobody has yet. io.
Result<std::string> random_letters(std::size_t count);

} // namespace vnvram
