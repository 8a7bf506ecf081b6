// A sealed image that is to be started: what its starter can say, in the words of his options.
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/error.h"

namespace vnvram {

/// How a machine is started that `--incoming` was not said for, or not all of it.
enum class Starts {
  alone,  ///< Nobody else sees the image.
  shared, ///< With --shared.
};

/// What a start on a sealed image was refused with, with a remedy for who starts it. Another error
/// is as it was.
[[nodiscard]] Error for_who_starts(const Error& refused, Starts how);
/// The same of an image that somebody else has open, as its owner says.
[[nodiscard]] Error sealed_at_start(const std::string& name, std::uint64_t generation, Starts how);

} // namespace vnvram
