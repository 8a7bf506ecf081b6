// Random numbers that nobody can guess.
#pragma once

#include <cstddef>
#include <span>

#include "vnvram/result.h"

namespace vnvram {

/// Fills the buffer from the kernel's generator. io if there is none.
Status random_bytes(std::span<std::byte> bytes);

} // namespace vnvram
