// How many clients a socket has, and how long they may be half-way through a message.
#pragma once

#include <chrono>
#include <cstddef>

namespace vnvram {

struct ConnectionLimits {
  /// One more, and the one that has been silent the longest has to go.
  std::size_t clients_max = 32;
  /// Without another byte of a message that has begun. QEMU sends some in two pieces.
  std::chrono::milliseconds unfinished_max{3000};
  /// How long a listener rests when no descriptor is left for a client.
  std::chrono::milliseconds rest{200};
};

} // namespace vnvram
